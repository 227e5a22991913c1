# A bucket as all of Holdfast's are: private, over TLS only, encrypted by one named key.

variable "name" { type = string }
variable "region" { type = string }
variable "partition" { type = string }
variable "key_arn" { type = string }
variable "is_versioned" { type = bool }

variable "lock_days" {
  description = "Days of the lock that every new object gets; none for no Object Lock at all, 0 for one without a default."
  type        = number
}

variable "lock_mode" {
  description = "COMPLIANCE: nobody can delete; GOVERNANCE: only with a right that no role here has."
  type        = string
}

variable "expire_days" {
  description = "Days after which everything in it goes; none to keep it."
  type        = number
}

variable "trusted_account" { type = string }
variable "trusted_account_arn" { type = string }

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18:access is on record in CloudTrail data events, if wanted; server access logs would double the requests
  # checkov:skip=CKV_AWS_144:copies in the other Region are made, proven and counted by the replicator, not by bucket replication
  # checkov:skip=CKV2_AWS_62:events of vaults are switched on in modules/vault; nobody listens to the others
  # checkov:skip=CKV_AWS_21:the area of drills holds nothing that has to be kept; every other bucket here is versioned
  region              = var.region
  bucket              = var.name
  object_lock_enabled = var.lock_days != null
  force_destroy       = false
}

resource "aws_s3_bucket_versioning" "this" {
  count  = var.is_versioned ? 1 : 0
  region = var.region
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  count  = var.lock_days == null || var.lock_days == 0 ? 0 : 1
  region = var.region
  bucket = aws_s3_bucket.this.id

  rule {
    default_retention {
      mode = var.lock_mode
      days = var.lock_days
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  region                  = var.region
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  region = var.region
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  region = var.region
  bucket = aws_s3_bucket.this.id

  rule {
    # One data key for many objects: a repository has too many packs to ask KMS for each.
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  # checkov:skip=CKV_AWS_300:the first rule ends abandoned uploads; the check does not see it beside dynamic rules
  region = var.region
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "abandoned-uploads"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  # What lifecycle deleted, and what a repair replaced, can be brought back for this long.
  dynamic "rule" {
    for_each = var.is_versioned ? [30] : []
    content {
      id     = "superseded-versions"
      status = "Enabled"
      filter {}

      noncurrent_version_expiration {
        noncurrent_days = rule.value
      }

      expiration {
        expired_object_delete_marker = true
      }
    }
  }

  dynamic "rule" {
    for_each = var.expire_days == null ? [] : [var.expire_days]
    content {
      id     = "leftovers"
      status = "Enabled"
      filter {}

      expiration {
        days = rule.value
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

locals {
  everything = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
  tls_only = [{
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = local.everything
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }]
  modern_tls_only = [{
    Sid       = "ModernTlsOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = local.everything
    Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
  }]
  # Another account's functions read and add; what they delete is only hidden, since versions are beyond their reach.
  another_account = [for account in [var.trusted_account] : {
    Sid       = "FunctionsOfAnotherAccount"
    Effect    = "Allow"
    Principal = { AWS = var.trusted_account_arn }
    Action    = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucket"]
    Resource  = local.everything
    Condition = { ArnLike = { "aws:PrincipalArn" = "arn:${var.partition}:iam::${account}:role/holdfast-*" } }
  } if account != null]
}

resource "aws_s3_bucket_policy" "this" {
  region = var.region
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.tls_only, local.modern_tls_only, local.another_account)
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

output "bucket" {
  # Known before it is made, so that policies can name it in a plan.
  value = var.name
}

output "arn" {
  value = aws_s3_bucket.this.arn
}

output "protection" {
  description = "What protects it, for tests."
  value = {
    lock_mode   = one(flatten(aws_s3_bucket_object_lock_configuration.this[*].rule[*].default_retention[*].mode))
    lock_days   = one(flatten(aws_s3_bucket_object_lock_configuration.this[*].rule[*].default_retention[*].days))
    object_lock = aws_s3_bucket.this.object_lock_enabled
    versioning  = one(aws_s3_bucket_versioning.this[*].versioning_configuration[0].status)
    policy      = aws_s3_bucket_policy.this.policy
    is_private = (
      aws_s3_bucket_public_access_block.this.block_public_acls && aws_s3_bucket_public_access_block.this.block_public_policy
      && aws_s3_bucket_public_access_block.this.ignore_public_acls && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    )
  }
}
