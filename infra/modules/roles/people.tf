# Roles of people. Both need MFA; nobody is named in both lists (variables.tf of the root refuses it).

locals {
  people = { operator = var.operator_principals, approver = var.approver_principals }
}

resource "aws_iam_role" "people" {
  for_each             = local.people
  name                 = "holdfast-${each.key}"
  description          = each.key == "operator" ? "Asks for restores and recovery runs" : "Sees what an operator asked for, to agree or not"
  max_session_duration = 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow"
      # A role nobody may assume yet names this account and refuses everybody in it.
      Principal = { AWS = length(each.value) == 0 ? ["${local.arn}:iam::${var.account}:root"] : each.value }
      Action    = "sts:AssumeRole"
      Condition = { for operator, test in {
        Bool            = { "aws:MultiFactorAuthPresent" = "true" }
        NumericLessThan = { "aws:MultiFactorAuthAge" = "3600" }
        StringEquals    = { "aws:PrincipalArn" = "nobody" }
      } : operator => test if operator != "StringEquals" || length(each.value) == 0 }
    }]
  })
}

resource "aws_iam_role_policy" "people" {
  for_each = local.people
  name     = "duties"
  role     = aws_iam_role.people[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "ReadTheCatalog"
          Effect   = "Allow"
          Action   = ["dynamodb:GetItem", "dynamodb:Query"]
          Resource = [var.table_arn, "${var.table_arn}/index/waking"]
        },
        {
          Sid      = "SeeDrills"
          Effect   = "Allow"
          Action   = ["states:DescribeExecution", "states:GetExecutionHistory"]
          Resource = "${local.arn}:states:${local.home}:execution:holdfast-drill:*"
        },
        {
          Sid      = "ReadLogs"
          Effect   = "Allow"
          Action   = "logs:FilterLogEvents"
          Resource = concat(values(local.logs), ["${local.arn}:logs:${local.home}:log-group:/aws/vendedlogs/states/holdfast-drill:*"])
        },
      ],
      [for statement in [
        {
          # Who approved is what the payload says: a record, which IAM does not hold against anybody (docs/deploy.md). What IAM
          # can do is that an approver asks for nothing.
          Sid      = "Ask"
          Effect   = "Allow"
          Action   = "lambda:InvokeFunction"
          Resource = [for name in ["scheduler", "restore-runner", "dr-failover"] : local.lambdas[name]]
        },
        {
          Sid      = "Drill"
          Effect   = "Allow"
          Action   = "states:StartExecution"
          Resource = "${local.arn}:states:${local.home}:stateMachine:holdfast-drill"
        },
        {
          Sid      = "FindQueues"
          Effect   = "Allow"
          Action   = ["sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
          Resource = concat(values(local.queues), values(local.dead_letters))
        },
        {
          Sid      = "Redrive"
          Effect   = "Allow"
          Action   = ["sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:ReceiveMessage", "sqs:DeleteMessage"]
          Resource = values(local.dead_letters)
        },
        { Sid = "RedriveInto", Effect = "Allow", Action = "sqs:SendMessage", Resource = values(local.queues) },
      ] : statement if each.key == "operator"],
    )
  })
}
