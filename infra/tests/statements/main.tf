# The roles, and their statements taken apart: one entry for each function, action and resource.

variable "home_region" { type = string }
variable "recovery_region" { type = string }
variable "protected_buckets" { type = list(string) }
variable "restore_buckets" { type = list(string) }
variable "operator_principals" { type = list(string) }

variable "server_secrets" {
  type    = list(string)
  default = []
}

variable "server_subnets" {
  type    = list(string)
  default = []
}

variable "actuators" {
  type    = list(string)
  default = []
}

variable "functions" {
  type    = list(string)
  default = ["scheduler", "snapshot-trigger", "verifier", "replicator", "lifecycle", "restore-runner", "dr-failover"]
}

module "roles" {
  source = "../../modules/roles"

  name                = "holdfast"
  functions           = var.functions
  account             = "111122223333"
  partition           = "aws"
  regions             = [var.home_region, var.recovery_region]
  home_region         = var.home_region
  table_arn           = "arn:aws:dynamodb:${var.home_region}:111122223333:table/holdfast-catalog"
  alert_topic         = "arn:aws:sns:${var.home_region}:111122223333:holdfast-alerts"
  alert_key           = "arn:aws:kms:${var.home_region}:111122223333:key/00000000-0000-0000-0000-0000000000a1"
  vault_buckets       = ["holdfast-vault-primary-111122223333-${var.home_region}", "holdfast-vault-recovery-111122223333-${var.recovery_region}"]
  vault_keys          = [for region in [var.home_region, var.recovery_region] : "arn:aws:kms:${region}:111122223333:key/00000000-0000-0000-0000-0000000000b1"]
  backup_vaults       = [for region in [var.home_region, var.recovery_region] : "arn:aws:backup:${region}:111122223333:backup-vault:holdfast-${region}"]
  history_bucket      = "holdfast-evidence-111122223333-${var.home_region}"
  marker_bucket       = "holdfast-markers-111122223333-${var.home_region}"
  actuators           = var.actuators
  evidence_buckets    = [for region in [var.home_region, var.recovery_region] : "holdfast-evidence-111122223333-${region}"]
  evidence_keys       = [for region in [var.home_region, var.recovery_region] : "arn:aws:kms:${region}:111122223333:key/00000000-0000-0000-0000-0000000000c1"]
  drill_bucket        = "holdfast-drills-111122223333-${var.home_region}"
  wrapping_keys       = [for region in [var.home_region, var.recovery_region] : "arn:aws:kms:${region}:111122223333:key/mrk-0000000000000000000000000000d1"]
  signing_key         = "arn:aws:kms:${var.home_region}:111122223333:key/00000000-0000-0000-0000-0000000000e1"
  source_keys         = ["arn:aws:kms:${var.home_region}:111122223333:key/00000000-0000-0000-0000-0000000000f1"]
  escrow_secret       = "arn:aws:secretsmanager:${var.home_region}:111122223333:secret:holdfast/escrow-password-AbCdEf"
  escrow_key          = "arn:aws:kms:${var.home_region}:111122223333:key/00000000-0000-0000-0000-000000000101"
  server_secrets      = var.server_secrets
  server_subnets      = var.server_subnets
  protected_buckets   = var.protected_buckets
  restore_buckets     = var.restore_buckets
  restore_tables      = ["restored-*"]
  operator_principals = var.operator_principals
  approver_principals = []
}

locals {
  drill_area = "arn:aws:s3:::holdfast-drills-111122223333-${var.home_region}/drills/*"
  looking    = jsondecode(module.roles.looking_policy).Statement
  statements = { for function, policy in module.roles.function_policies : function => concat(
    jsondecode(policy).Statement,
    [for statement in local.looking : statement if contains(module.roles.looking, function)],
  ) }
}

output "functions" {
  value = keys(local.statements)
}

output "allowed" {
  value = flatten([for function, statements in local.statements : [
    for statement in statements : [
      for action in flatten([statement.Action]) : [
        for resource in flatten([try(statement.Resource, "*")]) : { function = function, action = action, resource = resource }
      ]
    ] if statement.Effect == "Allow"
  ]])
}

output "holders" {
  description = "Who holds the rights that few need."
  value = { for action in [
    "s3:DeleteObjectVersion", "s3:ListBucketVersions", "s3:PutObjectRetention", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem", "backup:CopyIntoBackupVault", "kms:Encrypt", "secretsmanager:GetSecretValue",
    "ec2:CreateNetworkInterface", "rds:FailoverGlobalCluster", "rds:PromoteReadReplica", "ecs:UpdateService", "lambda:PutFunctionConcurrency",
    "autoscaling:SetDesiredCapacity", "route53-recovery-cluster:UpdateRoutingControlStates",
    ] : action => sort([for function, statements in local.statements : function if anytrue([
      for statement in statements : statement.Effect == "Allow" && contains(flatten([statement.Action]), action)
  ])]) }
}

output "boundary" {
  value = module.roles.boundary
}

output "refused" {
  value = { for function, statements in local.statements : function => flatten([
    for statement in statements : statement.Action
    if statement.Effect == "Deny" && (try(statement.Resource, "") == "*" || try(statement.NotResource, "") == local.drill_area)
  ]) }
}

output "destroying" {
  description = "Actions after which data is gone."
  value = toset([
    "rds:DeleteDBSnapshot", "rds:DeleteDBClusterSnapshot", "dynamodb:DeleteBackup", "backup:DeleteRecoveryPoint",
  ])
}

output "without_resources" {
  description = "Actions for which IAM knows no resource (service authorization reference)."
  value = [
    "xray:PutTraceSegments", "xray:PutTelemetryRecords", "backup:DescribeBackupJob", "backup:DescribeCopyJob",
    "backup:DescribeRestoreJob", "dynamodb:ListBackups", "rds:DescribeAccountAttributes",
    "autoscaling:DescribeAutoScalingGroups",
    # Lambda's own, and refused to what a function runs.
    "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
  ]
}

output "boundaries" {
  value = module.roles.function_boundaries
}

output "looking_size" {
  value = length(module.roles.looking_policy)
}

output "sizes" {
  value = { for function, policy in module.roles.function_policies : function => length(policy) }
}

output "trust_of_people" {
  value = { for name, trust in module.roles.people_trust : name => jsondecode(trust) }
}

output "people_may" {
  value = { for name, policy in module.roles.people_policies : name => flatten([for statement in jsondecode(policy).Statement : statement.Action]) }
}

output "people_statements" {
  value = { for name, policy in module.roles.people_policies : name => jsondecode(policy).Statement }
}

output "drill_area" {
  value = local.drill_area
}
