# A vault of one Region: a bucket for repositories, an AWS Backup vault, and the key that both are encrypted with.

variable "name" { type = string }
variable "region" { type = string }
variable "account" { type = string }
variable "partition" { type = string }
variable "lock_days" { type = number }
variable "backup_lock_days" { type = number }
variable "lock_is_permanent" { type = bool }

variable "notifies" { type = bool }

variable "notify_topic" {
  description = "Where AWS Backup tells of its jobs, besides EventBridge, which it serves as well as it can and no better."
  type        = string
}

variable "trusted_account" { type = string }
variable "trusted_account_arn" { type = string }

locals {
  root = "arn:${var.partition}:iam::${var.account}:root"
}

resource "aws_kms_key" "this" {
  region                  = var.region
  description             = "Holdfast: what vault ${var.name} stores"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        # Who may manage it is said by IAM; nobody manages it by using it.
        Sid       = "Administration"
        Effect    = "Allow"
        Principal = { AWS = local.root }
        Action = [
          "kms:Create*", "kms:Describe*", "kms:Enable*", "kms:List*", "kms:Put*", "kms:Update*", "kms:Revoke*", "kms:Disable*",
          "kms:Get*", "kms:Delete*", "kms:TagResource", "kms:UntagResource", "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion",
        ]
        Resource = "*" # this key: a key's policy can name no other
      },
      {
        Sid       = "UseByRolesThatIamAllows"
        Effect    = "Allow"
        Principal = { AWS = local.root }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*" # this key
      },
      {
        # RDS, AWS Backup and DynamoDB keep a grant for as long as a snapshot stands.
        Sid       = "GrantsForServices"
        Effect    = "Allow"
        Principal = { AWS = local.root }
        Action    = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]
        Resource  = "*" # this key
        Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
      },
      ], [for account in [var.trusted_account] : {
        Sid       = "UseByAnotherAccount"
        Effect    = "Allow"
        Principal = { AWS = var.trusted_account_arn }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*" # this key
        Condition = { ArnLike = { "aws:PrincipalArn" = "arn:${var.partition}:iam::${account}:role/holdfast-*" } }
    } if account != null])
  })
}

resource "aws_kms_alias" "this" {
  region        = var.region
  name          = "alias/holdfast-vault-${var.name}"
  target_key_id = aws_kms_key.this.id
}

module "bucket" {
  source = "../bucket"

  name                = "holdfast-vault-${var.name}-${var.account}-${var.region}"
  region              = var.region
  partition           = var.partition
  key_arn             = aws_kms_key.this.arn
  is_versioned        = true
  lock_days           = var.lock_days
  lock_mode           = "GOVERNANCE"
  expire_days         = null
  trusted_account     = var.trusted_account
  trusted_account_arn = var.trusted_account_arn
}

resource "aws_s3_bucket_notification" "this" {
  region      = var.region
  bucket      = module.bucket.bucket
  eventbridge = true

  depends_on = [module.bucket]
}

resource "aws_backup_vault" "this" {
  region        = var.region
  name          = "holdfast-${var.name}"
  kms_key_arn   = aws_kms_key.this.arn
  force_destroy = false
}

resource "aws_backup_vault_lock_configuration" "this" {
  count               = var.backup_lock_days == 0 ? 0 : 1
  region              = var.region
  backup_vault_name   = aws_backup_vault.this.name
  min_retention_days  = var.backup_lock_days
  changeable_for_days = var.lock_is_permanent ? 3 : null
}

resource "aws_backup_vault_policy" "this" {
  region            = var.region
  backup_vault_name = aws_backup_vault.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyLifecycleDeletes"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle"]
      Resource  = "*" # what is in this vault: the policy of a vault reaches no further
      Condition = { ArnNotLike = { "aws:PrincipalArn" = "arn:${var.partition}:iam::${var.account}:role/holdfast-lifecycle" } }
    }]
  })
}

resource "aws_backup_vault_notifications" "this" {
  count               = var.notifies ? 1 : 0
  region              = var.region
  backup_vault_name   = aws_backup_vault.this.name
  sns_topic_arn       = var.notify_topic
  backup_vault_events = ["BACKUP_JOB_COMPLETED", "COPY_JOB_SUCCESSFUL", "COPY_JOB_FAILED", "RESTORE_JOB_COMPLETED"]
}

output "name" {
  value = var.name
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

output "backup_vault" {
  value = aws_backup_vault.this.name
}

output "backup_vault_arn" {
  value = "arn:${var.partition}:backup:${var.region}:${var.account}:backup-vault:holdfast-${var.name}"
}

output "backup_lock" {
  description = "The least retention that the AWS Backup vault is locked with, for tests; none without a lock."
  value       = one(aws_backup_vault_lock_configuration.this[*].min_retention_days)
}
