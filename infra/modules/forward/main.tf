# What RDS, AWS Backup and S3 say in the recovery Region reaches the functions, which listen in the home Region.
# These events are hints: while the home Region is down, nothing is lost but haste.

variable "account" { type = string }
variable "partition" { type = string }
variable "home_region" { type = string }
variable "recovery_region" { type = string }
variable "bucket" { type = string }

locals {
  home_bus = "arn:${var.partition}:events:${var.home_region}:${var.account}:event-bus/default"
  patterns = {
    snapshots = { source = ["aws.rds"], "detail-type" = ["RDS DB Snapshot Event", "RDS DB Cluster Snapshot Event"] }
    databases = { source = ["aws.rds"], "detail-type" = ["RDS DB Instance Event", "RDS DB Cluster Event"] }
    backup    = { source = ["aws.backup"] }
    objects = {
      source        = ["aws.s3"]
      "detail-type" = ["Object Deleted"]
      detail        = { bucket = { name = [var.bucket] } }
    }
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each      = local.patterns
  region        = var.recovery_region
  name          = "holdfast-forward-${each.key}"
  description   = "Hints for Holdfast's functions in ${var.home_region}"
  event_pattern = jsonencode(each.value)
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = local.patterns
  region   = var.recovery_region
  rule     = aws_cloudwatch_event_rule.this[each.key].name
  arn      = local.home_bus
  role_arn = aws_iam_role.this.arn

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_iam_role" "this" {
  name = "holdfast-forward-events"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  role = aws_iam_role.this.id
  name = "put-events"

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "events:PutEvents", Resource = local.home_bus }]
  })
}

# For whoever looks into a matter. No alarm watches it: one would need a topic in this Region, which pages nobody, and what
# lies here is a hint that a timer has made useless a minute later.
resource "aws_sqs_queue" "undelivered" {
  region                    = var.recovery_region
  name                      = "holdfast-undelivered-events"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "undelivered" {
  region    = var.recovery_region
  queue_url = aws_sqs_queue.undelivered.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.undelivered.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "Rules"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.undelivered.arn
        Condition = { ArnLike = { "aws:SourceArn" = "arn:${var.partition}:events:${var.recovery_region}:${var.account}:rule/holdfast-forward-*" } }
      },
    ]
  })
}
