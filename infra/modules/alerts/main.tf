# Topics: one tells people, one tells functions where something outside has hints for them.

variable "account" { type = string }
variable "partition" { type = string }
variable "home_region" { type = string }
variable "emails" { type = list(string) }
variable "endpoints" { type = list(string) }

variable "takes_signals" {
  description = "Whether there is a topic that tells functions."
  type        = bool
}

resource "aws_kms_key" "this" {
  region                  = var.home_region
  description             = "Holdfast: messages of its topics"
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
      },
      {
        # Alarms, budgets and AWS Backup send to a topic that is encrypted.
        Sid       = "SendersThatAreServices"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "backup.amazonaws.com"] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*" # this key
        Condition = { StringEquals = { "aws:SourceAccount" = var.account } }
      },
    ]
  })
}

resource "aws_sns_topic" "alerts" {
  region            = var.home_region
  name              = "holdfast-alerts"
  kms_master_key_id = aws_kms_key.this.arn
}

# AWS Backup's notifications, and any other sender's hint that something changed. The functions' queues subscribe.
resource "aws_sns_topic" "signals" {
  count             = var.takes_signals ? 1 : 0
  region            = var.home_region
  name              = "holdfast-signals"
  kms_master_key_id = aws_kms_key.this.arn
}

locals {
  senders = merge(
    { alerts = { arn = aws_sns_topic.alerts.arn, services = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] } },
    { for topic in aws_sns_topic.signals : "signals" => { arn = topic.arn, services = ["backup.amazonaws.com"] } },
  )
}

resource "aws_sns_topic_policy" "this" {
  for_each = local.senders
  region   = var.home_region
  arn      = each.value.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = each.value.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "Services"
        Effect    = "Allow"
        Principal = { Service = each.value.services }
        Action    = "sns:Publish"
        Resource  = each.value.arn
        Condition = { StringEquals = { "aws:SourceAccount" = var.account } }
      },
      {
        Sid       = "RolesThatIamAllows"
        Effect    = "Allow"
        Principal = { AWS = "arn:${var.partition}:iam::${var.account}:root" }
        Action    = ["sns:Publish", "sns:Subscribe", "sns:GetTopicAttributes"]
        Resource  = each.value.arn
      },
    ]
  })
}

# Pages that could not be handed over wait here; an alarm of template.yaml watches it, and rings until it is emptied.
resource "aws_sqs_queue" "undelivered" {
  region                    = var.home_region
  name                      = "holdfast-undelivered-pages"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "undelivered" {
  region    = var.home_region
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
        Sid       = "Topic"
        Effect    = "Allow"
        Principal = { Service = "sns.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.undelivered.arn
        Condition = { ArnEquals = { "aws:SourceArn" = aws_sns_topic.alerts.arn } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each       = toset(var.emails)
  region         = var.home_region
  topic_arn      = aws_sns_topic.alerts.arn
  protocol       = "email"
  endpoint       = each.value
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.undelivered.arn })
}

resource "aws_sns_topic_subscription" "https" {
  for_each       = toset(var.endpoints)
  region         = var.home_region
  topic_arn      = aws_sns_topic.alerts.arn
  protocol       = "https"
  endpoint       = each.value
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.undelivered.arn })
  # A paging service that is down for half an hour still gets the page: three tries in the first minute, three more with
  # growing pauses, eight that are five minutes apart. SNS gives up after 3,600 seconds whatever is written here.
  delivery_policy = jsonencode({
    healthyRetryPolicy = {
      minDelayTarget     = 20
      maxDelayTarget     = 300
      numRetries         = 14
      numNoDelayRetries  = 0
      numMinDelayRetries = 3
      numMaxDelayRetries = 8
      backoffFunction    = "linear"
    }
  })
}

output "region" {
  value = aws_sns_topic.alerts.region
}

output "alert_topic" {
  value = aws_sns_topic.alerts.arn
}

output "signals_topic" {
  value = one(aws_sns_topic.signals[*].arn)
}

output "key_arn" {
  value = aws_kms_key.this.arn
}
