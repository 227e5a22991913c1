# The ceiling above every function: it grants nothing, and what it refuses no other policy can give.

resource "aws_iam_policy" "boundary" {
  # checkov:skip=CKV_AWS_355:a boundary grants nothing by itself; its Allow is the outermost limit of what roles may be given
  # checkov:skip=CKV_AWS_288:as above: reading is granted by each role, on named resources
  # checkov:skip=CKV_AWS_289:as above: no permission management is granted by any role
  # checkov:skip=CKV_AWS_290:as above: writing is granted by each role, on named resources
  name        = "${var.name}-boundary"
  description = "What no function of Holdfast can be given"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Services"
        Effect = "Allow"
        Action = [
          "autoscaling:DescribeAutoScalingGroups", "autoscaling:SetDesiredCapacity", "backup:*", "dynamodb:*",
          "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses", "ecs:DescribeServices", "ecs:UpdateService", "events:PutEvents", "iam:PassRole", "kms:*", "lambda:DeleteFunctionConcurrency",
          "lambda:GetFunctionConcurrency", "lambda:InvokeFunction", "lambda:PutFunctionConcurrency", "logs:CreateLogStream",
          "logs:PutLogEvents", "rds:*", "route53-recovery-cluster:GetRoutingControlState", "route53-recovery-cluster:UpdateRoutingControlStates",
          "s3:*", "secretsmanager:GetSecretValue", "sns:Publish", "sqs:*", "xray:Put*",
        ]
        Resource = "*" # a ceiling, not a grant
      },
      {
        Sid    = "NeverTheHouseItself"
        Effect = "Deny"
        Action = [
          "backup:DeleteBackupVault*", "backup:PutBackupVault*", "backup:UpdateRecoveryPointLifecycle",
          "dynamodb:DeleteTable", "dynamodb:UpdateTable", "dynamodb:UpdateContinuousBackups",
          "kms:ScheduleKeyDeletion", "kms:Disable*", "kms:PutKeyPolicy", "kms:UpdatePrimaryRegion", "kms:DeleteImportedKeyMaterial",
          "s3:BypassGovernanceRetention", "s3:DeleteBucket*", "s3:PutBucket*", "s3:PutLifecycleConfiguration",
          "s3:PutEncryptionConfiguration", "s3:PutReplicationConfiguration", "s3:PutObjectLegalHold",
          "rds:DeleteDBInstance", "rds:DeleteDBCluster", "rds:DeleteGlobalCluster",
          "sqs:DeleteQueue", "sqs:PurgeQueue", "sqs:SetQueueAttributes",
        ]
        Resource = "*" # a refusal: of everything
      },
      {
        Sid      = "NeverEvidence"
        Effect   = "Deny"
        Action   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
        Resource = local.statements
      },
      {
        # The catalog is a book that only grows; restores of tables stay away from it.
        Sid      = "NeverFromTheCatalog"
        Effect   = "Deny"
        Action   = ["dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:RestoreTable*", "dynamodb:DeleteBackup"]
        Resource = [var.table_arn, "${var.table_arn}/*"]
      },
    ]
  })
}
