# Roles of services: AWS Backup, the timers, the state machines of recovery runs.

locals {
  trust = { for service in ["backup", "scheduler", "states"] : service => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "${service}.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account } }
    }]
  }) }
}

# The name has to hold AWSBackup: AWS Backup refuses other roles for some services.
resource "aws_iam_role" "backup" {
  count              = contains(var.functions, "snapshot-trigger") ? 1 : 0
  name               = "holdfast-AWSBackup"
  description        = "Assumed by AWS Backup for jobs that Holdfast starts"
  assume_role_policy = local.trust["backup"]
}

resource "aws_iam_role_policy_attachment" "backup" {
  for_each   = length(aws_iam_role.backup) > 0 ? toset(["AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForRestores"]) : toset([])
  role       = aws_iam_role.backup[0].name
  policy_arn = "${local.arn}:iam::aws:policy/service-role/${each.value}"
}

resource "aws_iam_role" "timers" {
  name               = "${var.name}-timers"
  description        = "Wakes every function of Holdfast once a minute"
  assume_role_policy = local.trust["scheduler"]
}

resource "aws_iam_role_policy" "timers" {
  name = "wake"
  role = aws_iam_role.timers.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "Wake"
      Effect   = "Allow"
      Action   = "sqs:SendMessage"
      Resource = concat(values(local.queues), values(local.dead_letters))
    }]
  })
}

resource "aws_iam_role" "recovery" {
  name               = "${var.name}-recovery-steps"
  description        = "Drives drills, switchovers and failovers step by step"
  assume_role_policy = local.trust["states"]
}

resource "aws_iam_role_policy" "recovery" {
  # checkov:skip=CKV_AWS_355:log delivery and traces have no resources to name
  # checkov:skip=CKV_AWS_290:as above
  # checkov:skip=CKV_AWS_289:as above; the state machines manage the delivery of their own log only
  name = "drive"
  role = aws_iam_role.recovery.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "Drive", Effect = "Allow", Action = "lambda:InvokeFunction", Resource = local.lambdas["dr-failover"] },
      { Sid = "Tell", Effect = "Allow", Action = "sns:Publish", Resource = var.alert_topic },
      {
        Sid       = "PagerKey"
        Effect    = "Allow"
        Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource  = var.alert_key
        Condition = { StringEquals = { "kms:ViaService" = "sns.${var.home_region}.amazonaws.com" } }
      },
      { Sid = "ReadOwnHistory", Effect = "Allow", Action = "states:GetExecutionHistory", Resource = local.executions },
      { Sid = "KeepHistory", Effect = "Allow", Action = "s3:PutObject", Resource = "${local.arn}:s3:::${var.history_bucket}/histories/*" },
      {
        Sid       = "EvidenceKeys"
        Effect    = "Allow"
        Action    = "kms:GenerateDataKey"
        Resource  = var.evidence_keys
        Condition = { StringEquals = { "kms:ViaService" = "s3.${var.home_region}.amazonaws.com" } }
      },
      {
        Sid    = "Log"
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:ListLogDeliveries",
          "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
        ]
        Resource = "*" # log deliveries have no resources to name
      },
      {
        Sid      = "Traces"
        Effect   = "Allow"
        Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"]
        Resource = "*" # X-Ray has no resources to name
      },
    ]
  })
}
