# What statements point at.

locals {
  home = "${var.home_region}:${var.account}"
  arn  = "arn:${var.partition}"

  queues       = { for name in var.functions : name => "${local.arn}:sqs:${local.home}:holdfast-${name}" }
  dead_letters = { for name in var.functions : name => "${local.arn}:sqs:${local.home}:holdfast-${name}-dead-letters" }
  logs         = { for name in var.functions : name => "${local.arn}:logs:${local.home}:log-group:/aws/lambda/holdfast-${name}:*" }
  lambdas      = { for name in var.functions : name => "${local.arn}:lambda:${local.home}:function:holdfast-${name}" }

  vaults        = [for name in var.vault_buckets : "${local.arn}:s3:::${name}"]
  vault_objects = [for name in var.vault_buckets : "${local.arn}:s3:::${name}/*"]
  evidence      = [for name in var.evidence_buckets : "${local.arn}:s3:::${name}"]
  statements    = [for name in var.evidence_buckets : "${local.arn}:s3:::${name}/*"]
  drills        = "${local.arn}:s3:::${var.drill_bucket}"
  drill_objects = "${local.arn}:s3:::${var.drill_bucket}/drills/*"

  # What a repository's own housekeeping removes: its locks, the report of an earlier attempt at the same job, and the key
  # file of a repository that was being made twice.
  housekeeping = flatten([for name in var.vault_buckets : [
    "${local.arn}:s3:::${name}/repositories/*/locks/*",
    "${local.arn}:s3:::${name}/repositories/*/keys/*",
    "${local.arn}:s3:::${name}/repositories/*/holdfast/jobs/*",
  ]])
  locks = [for name in var.vault_buckets : "${local.arn}:s3:::${name}/repositories/*/locks/*"]

  # RDS names what is ours holdfast-*; what is protected, and what a restore makes, has the names its owners chose.
  rds = { for kind in ["db", "cluster", "snapshot", "cluster-snapshot", "auto-backup", "subgrp", "pg", "cluster-pg", "og"] :
  kind => [for region in var.regions : "${local.arn}:rds:${region}:${var.account}:${kind}:*"] }
  our_snapshots         = [for region in var.regions : "${local.arn}:rds:${region}:${var.account}:snapshot:holdfast-*"]
  our_cluster_snapshots = [for region in var.regions : "${local.arn}:rds:${region}:${var.account}:cluster-snapshot:holdfast-*"]
  rds_snapshots         = concat(local.rds["snapshot"], local.rds["cluster-snapshot"])
  our_rds_snapshots     = concat(local.our_snapshots, local.our_cluster_snapshots)

  tables        = "${local.arn}:dynamodb:${local.home}:table/*"
  table_backups = "${local.arn}:dynamodb:${local.home}:table/*/backup/*"
  new_tables    = [for pattern in var.restore_tables : "${local.arn}:dynamodb:${local.home}:table/${pattern}"]

  # A recovery point of AWS Backup has the ARN that its service gives it.
  recovery_points = flatten([for region in var.regions : [
    "${local.arn}:backup:${region}:${var.account}:recovery-point:*",
    "${local.arn}:rds:${region}:${var.account}:snapshot:awsbackup:*",
    "${local.arn}:rds:${region}:${var.account}:cluster-snapshot:awsbackup:*",
    "${local.arn}:ec2:${region}::snapshot/*",
    "${local.arn}:ec2:${region}::image/*",
    "${local.arn}:dynamodb:${region}:${var.account}:table/*/backup/*",
  ]])

  # The state machines of recovery runs: what a drill touches is its own; the others move production.
  machines   = { for name in ["drill", "switchover", "failover"] : name => "${local.arn}:states:${local.home}:stateMachine:holdfast-${name}" }
  executions = [for name in keys(local.machines) : "${local.arn}:states:${local.home}:execution:holdfast-${name}:*"]

  # What recovery plans may change, by what the ARNs say.
  actuators = { for kind, pattern in {
    global   = ":rds:[^:]*:[0-9]+:(global-cluster|cluster):"
    replica  = ":rds:[^:]*:[0-9]+:db:"
    ecs      = ":ecs:[^:]+:[0-9]+:service/"
    function = ":lambda:[^:]+:[0-9]+:function:"
    group    = ":autoscaling:[^:]+:[0-9]+:autoScalingGroup:"
    control  = ":route53-recovery-control::[0-9]+:controlpanel/"
  } : kind => [for arn in var.actuators : arn if can(regex(pattern, arn))] }

  backup_role = "${local.arn}:iam::${var.account}:role/holdfast-AWSBackup"
}
