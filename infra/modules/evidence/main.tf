# Signed statements of one deployment, in one Region. Nobody can change or delete one before its lock ends.

variable "name" { type = string }
variable "region" { type = string }
variable "account" { type = string }
variable "partition" { type = string }
variable "lock_days" { type = number }

resource "aws_kms_key" "this" {
  region                  = var.region
  description             = "Holdfast: evidence at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Administration"
        Effect    = "Allow"
        Principal = { AWS = "arn:${var.partition}:iam::${var.account}:root" }
        Action    = "kms:*"
        Resource  = "*" # this key: a key's policy can name no other
      }
    ]
  })
}

module "bucket" {
  source = "../bucket"

  name                = "${var.name}-${var.account}-${var.region}"
  region              = var.region
  partition           = var.partition
  key_arn             = aws_kms_key.this.arn
  is_versioned        = true
  lock_days           = var.lock_days
  lock_mode           = "COMPLIANCE"
  expire_days         = null
  trusted_account     = null
  trusted_account_arn = null
}

output "region" {
  value = var.region
}

output "bucket" {
  value = module.bucket.bucket
}

output "key_arn" {
  value = aws_kms_key.this.arn
}
