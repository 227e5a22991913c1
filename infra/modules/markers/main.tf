# Markers that lead traffic: an object whose presence fails an inverted health check, so that Route 53 answers with the other
# record of a failover pair. Health checkers come without credentials, so this one bucket can be read by everybody, and holds
# nothing but the markers: the name of an actuator, a run and a number.

variable "account" { type = string }
variable "partition" { type = string }

variable "region" {
  description = "The Region to which traffic is led: the bucket must stand when the other one is lost."
  type        = string
}

variable "markers" {
  description = "Names of the markers; each gets a health check for the record that leads to the other Region."
  type        = set(string)
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18:health checkers ask every few seconds; their requests tell nothing
  # checkov:skip=CKV_AWS_144:a marker is of one Region
  # checkov:skip=CKV_AWS_145:health checkers have no key: the objects are encrypted by S3's own
  # checkov:skip=CKV2_AWS_61:a marker goes when traffic comes back
  # checkov:skip=CKV2_AWS_62:nobody listens
  # checkov:skip=CKV2_AWS_6:the block below lets one policy through: health checkers read the markers without credentials
  region        = var.region
  bucket        = local.name
  force_destroy = false
}

locals {
  name = "holdfast-markers-${var.account}-${var.region}"
}

# Who led traffic where stays on record.
resource "aws_s3_bucket_versioning" "this" {
  region = var.region
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_ownership_controls" "this" {
  region = var.region
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  # checkov:skip=CKV_AWS_54:a policy makes the markers readable, which health checkers need
  # checkov:skip=CKV_AWS_56:as above
  region                  = var.region
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = false
  restrict_public_buckets = false
}

resource "aws_s3_bucket_policy" "this" {
  # checkov:skip=CKV_AWS_70:everybody may read the markers, and nothing else
  region = var.region
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "HealthCheckersRead"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:GetObject"
        Resource  = "arn:${var.partition}:s3:::${local.name}/traffic/*"
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

# Inverted: healthy while there is no marker, so that a bucket that cannot be reached moves nothing.
resource "aws_route53_health_check" "this" {
  for_each = var.markers

  reference_name     = "holdfast-${each.value}"
  type               = "HTTPS"
  fqdn               = "${local.name}.s3.${var.region}.amazonaws.com"
  port               = 443
  resource_path      = "/traffic/${each.value}"
  invert_healthcheck = true
  request_interval   = 10
  failure_threshold  = 3
}

output "bucket" {
  # Known before it is made, so that policies can name it in a plan.
  value = local.name
}

output "health_checks" {
  value = { for name, check in aws_route53_health_check.this : name => check.id }
}

output "policy" {
  description = "Who may read, for tests."
  value       = aws_s3_bucket_policy.this.policy
}
