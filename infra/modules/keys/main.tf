# Keys and the one secret. What production is encrypted with opens no backup, and the other way round.

variable "account" { type = string }
variable "partition" { type = string }
variable "home_region" { type = string }
variable "recovery_region" { type = string }

variable "signing_regions" {
  description = "The Regions of deployments that sign evidence; each has a key and a chain of its own."
  type        = set(string)
}

locals {
  root = "arn:${var.partition}:iam::${var.account}:root"
  administration = {
    Sid       = "Administration"
    Effect    = "Allow"
    Principal = { AWS = local.root }
    Action = [
      "kms:Create*", "kms:Describe*", "kms:Enable*", "kms:List*", "kms:Put*", "kms:Update*", "kms:Revoke*", "kms:Disable*",
      "kms:Get*", "kms:Delete*", "kms:TagResource", "kms:UntagResource", "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion",
      "kms:ReplicateKey", "kms:SynchronizeMultiRegionKey",
    ]
    Resource = "*" # this key: a key's policy can name no other
  }
  # The two functions that make repositories wrap; those that open them unwrap.
  wrapping = {
    Sid       = "WrappingByHoldfast"
    Effect    = "Allow"
    Principal = { AWS = local.root }
    Action    = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"]
    Resource  = "*" # this key
    Condition = { ArnLike = { "aws:PrincipalArn" = "arn:${var.partition}:iam::${var.account}:role/holdfast-*" } }
  }
  wrapping_policy = jsonencode({ Version = "2012-10-17", Statement = [local.administration, local.wrapping] })
}

# Wraps the master keys of repositories. The same key in both Regions, so that a copy opens where the first one is lost.
resource "aws_kms_key" "wrapping" {
  region                  = var.home_region
  description             = "Holdfast: wraps the master keys of repositories"
  multi_region            = true
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = local.wrapping_policy
}

resource "aws_kms_replica_key" "wrapping" {
  region                  = var.recovery_region
  description             = "Holdfast: wraps the master keys of repositories"
  primary_key_arn         = aws_kms_key.wrapping.arn
  deletion_window_in_days = 30
  policy                  = local.wrapping_policy
}

resource "aws_kms_alias" "wrapping" {
  region        = var.home_region
  name          = "alias/holdfast-wrapping"
  target_key_id = aws_kms_key.wrapping.id
}

# Signs evidence. Anybody with its public key can check a statement, without AWS.
resource "aws_kms_key" "signing" {
  # checkov:skip=CKV_AWS_7:KMS rotates no asymmetric key; a new one is made by hand, and old statements keep their key's name
  for_each = var.signing_regions

  region                   = each.value
  description              = "Holdfast: signs evidence"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = "ECC_NIST_EDWARDS25519"
  enable_key_rotation      = false
  deletion_window_in_days  = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [local.administration, {
      Sid       = "SigningByHoldfast"
      Effect    = "Allow"
      Principal = { AWS = local.root }
      Action    = ["kms:Sign", "kms:Verify", "kms:GetPublicKey", "kms:DescribeKey"]
      Resource  = "*" # this key
      Condition = { ArnLike = { "aws:PrincipalArn" = "arn:${var.partition}:iam::${var.account}:role/holdfast-*" } }
    }]
  })
}

resource "aws_kms_alias" "signing" {
  for_each = var.signing_regions

  region        = each.value
  name          = "alias/holdfast-signing"
  target_key_id = aws_kms_key.signing[each.value].id
}

# For protected resources. Holdfast reads with it and never writes a backup with it.
resource "aws_kms_key" "production" {
  region                  = var.home_region
  description             = "Production data that Holdfast protects"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [local.administration, {
      Sid       = "UseByRolesThatIamAllows"
      Effect    = "Allow"
      Principal = { AWS = local.root }
      Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey", "kms:CreateGrant"]
      Resource  = "*" # this key
    }]
  })
}

resource "aws_kms_alias" "production" {
  region        = var.home_region
  name          = "alias/holdfast-production"
  target_key_id = aws_kms_key.production.id
}

resource "aws_kms_key" "escrow" {
  for_each = toset([var.home_region, var.recovery_region])

  region                  = each.value
  description             = "Holdfast: the escrow password"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [local.administration, {
      Sid       = "UseThroughSecretsManager"
      Effect    = "Allow"
      Principal = { AWS = local.root }
      Action    = ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "kms:DescribeKey", "kms:CreateGrant"]
      Resource  = "*" # this key
      Condition = { StringLike = { "kms:ViaService" = "secretsmanager.*.amazonaws.com" } }
    }]
  })
}

# The password that opens repositories without Holdfast. Its value is put by hand once and is in no state file.
resource "aws_secretsmanager_secret" "escrow" {
  # checkov:skip=CKV2_AWS_57:key files of existing repositories hold it; rotating it would lock them
  region                  = var.home_region
  name                    = "holdfast/escrow-password"
  description             = "Opens Holdfast's repositories with restic"
  kms_key_id              = aws_kms_key.escrow[var.home_region].arn
  recovery_window_in_days = 30

  replica {
    region     = var.recovery_region
    kms_key_id = aws_kms_key.escrow[var.recovery_region].arn
  }
}

output "wrapping_keys" {
  description = "The key of the home Region first."
  value       = [aws_kms_key.wrapping.arn, aws_kms_replica_key.wrapping.arn]
}

output "signing_keys" {
  description = "By Region."
  value       = { for region, key in aws_kms_key.signing : region => key.arn }
}

output "production_key" {
  value = aws_kms_key.production.arn
}

output "escrow_secret" {
  value = aws_secretsmanager_secret.escrow.arn
}

output "escrow_key" {
  value = aws_kms_key.escrow[var.home_region].arn
}
