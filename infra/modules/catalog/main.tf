# The catalog of a deployment: one table, with a replica that stands for reading when its Region is lost.

variable "name" { type = string }
variable "account" { type = string }
variable "partition" { type = string }

variable "home_region" {
  description = "The Region of the functions that write it."
  type        = string
}

variable "recovery_region" {
  description = "The Region of the replica."
  type        = string
}

locals {
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Administration"
        Effect    = "Allow"
        Principal = { AWS = "arn:${var.partition}:iam::${var.account}:root" }
        Action    = "kms:*"
        Resource  = "*" # this key: a key's policy can name no other
      },
      {
        # Whoever may read the table may, by way of DynamoDB alone, have it decrypted.
        Sid       = "UseThroughDynamoDb"
        Effect    = "Allow"
        Principal = { AWS = "*" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey", "kms:CreateGrant"]
        Resource  = "*" # this key
        Condition = {
          StringEquals = { "kms:CallerAccount" = var.account }
          StringLike   = { "kms:ViaService" = "dynamodb.*.amazonaws.com" }
        }
      },
    ]
  })
}

resource "aws_kms_key" "this" {
  for_each = toset([var.home_region, var.recovery_region])

  region                  = each.value
  description             = "Holdfast: the catalog"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = local.policy
}

resource "aws_dynamodb_table" "this" {
  region                      = var.home_region
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = true
  # A replica needs the stream.
  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES"

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "wake_status"
    type = "S"
  }

  attribute {
    name = "wake_at"
    type = "S"
  }

  global_secondary_index {
    name            = "waking"
    hash_key        = "wake_status"
    range_key       = "wake_at"
    projection_type = "ALL"
  }

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = 35
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.this[var.home_region].arn
  }

  # Only the functions of the home Region write; the replica is read by people.
  replica {
    region_name                 = var.recovery_region
    kms_key_arn                 = aws_kms_key.this[var.recovery_region].arn
    point_in_time_recovery      = true
    deletion_protection_enabled = true
    propagate_tags              = true
  }
}

output "table" {
  value = var.name
}

output "table_arn" {
  value = "arn:${var.partition}:dynamodb:${var.home_region}:${var.account}:table/${var.name}"
}
