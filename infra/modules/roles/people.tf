# Roles of people. Both need MFA; nobody is named in both lists (variables.tf of the root refuses it).

locals {
  with_mfa = { Bool = { "aws:MultiFactorAuthPresent" = "true" } }
  people   = { operator = var.operator_principals, approver = var.approver_principals }
}

resource "aws_iam_role" "people" {
  for_each             = local.people
  name                 = "${var.name}-${each.key}"
  description          = each.key == "operator" ? "Asks for restores and drills" : "Sees what an operator asked for, to agree or not; moves production"
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
          Sid      = "SeeRuns"
          Effect   = "Allow"
          Action   = ["states:DescribeExecution", "states:GetExecutionHistory"]
          Resource = local.executions
        },
        {
          Sid      = "ReadLogs"
          Effect   = "Allow"
          Action   = "logs:FilterLogEvents"
          Resource = concat(values(local.logs), ["${local.arn}:logs:${local.home}:log-group:/aws/vendedlogs/states/holdfast-recovery:*"])
        },
      ],
      [for statement in [
        {
          # Who approved is what the payload says: a record, which IAM does not hold against anybody (docs/deploy.md). What IAM
          # can do is that an approver asks for no restore, and that nobody else moves production.
          Sid      = "Ask"
          Effect   = "Allow"
          Action   = "lambda:InvokeFunction"
          Resource = [for name in setintersection(["scheduler", "restore-runner"], var.functions) : local.lambdas[name]]
        },
        { Sid = "Drill", Effect = "Allow", Action = "states:StartExecution", Resource = local.machines["drill"] },
        {
          Sid      = "FollowDrills"
          Effect   = "Allow"
          Action   = "states:RedriveExecution"
          Resource = "${local.arn}:states:${local.home}:execution:holdfast-drill:*"
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
          Resource = [for name, queue in local.dead_letters : queue if name != "dr-failover"]
        },
        {
          # A message of dr-failover's queue could be the request of a run.
          Sid      = "RedriveInto"
          Effect   = "Allow"
          Action   = "sqs:SendMessage"
          Resource = [for name, queue in local.queues : queue if name != "dr-failover"]
        },
      ] : statement if each.key == "operator"],
      # Every way to a run that moves production. The role's trust asks for MFA already; this holds if somebody loosens it.
      [for statement in [
        {
          Sid       = "MoveProduction"
          Effect    = "Allow"
          Action    = "states:StartExecution"
          Resource  = [local.machines["switchover"], local.machines["failover"]]
          Condition = local.with_mfa
        },
        {
          Sid       = "FollowRuns"
          Effect    = "Allow"
          Action    = "states:RedriveExecution"
          Resource  = local.executions
          Condition = local.with_mfa
        },
        {
          Sid       = "AnswerRuns"
          Effect    = "Allow"
          Action    = "lambda:InvokeFunction"
          Resource  = [local.lambdas["dr-failover"]]
          Condition = local.with_mfa
        },
        {
          Sid       = "RedriveRequests"
          Effect    = "Allow"
          Action    = ["sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:ReceiveMessage", "sqs:DeleteMessage"]
          Resource  = [local.dead_letters["dr-failover"]]
          Condition = local.with_mfa
        },
        {
          Sid       = "RedriveRequestsInto"
          Effect    = "Allow"
          Action    = "sqs:SendMessage"
          Resource  = [local.queues["dr-failover"]]
          Condition = local.with_mfa
        },
      ] : statement if each.key == "approver"],
    )
  })
}
