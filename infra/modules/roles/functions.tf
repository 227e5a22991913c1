# One role per function. What a role may do is the sum of its parts; what nobody may do is in boundary.tf.

locals {
  backs_up = [
    {
      Sid      = "SnapshotDatabases"
      Effect   = "Allow"
      Action   = ["rds:CreateDBSnapshot", "rds:CreateDBClusterSnapshot", "rds:AddTagsToResource"]
      Resource = concat(local.rds["db"], local.rds["cluster"], local.our_rds_snapshots)
    },
    { Sid = "BackUpTables", Effect = "Allow", Action = "dynamodb:CreateBackup", Resource = local.tables },
    { Sid = "StartBackupJobs", Effect = "Allow", Action = "backup:StartBackupJob", Resource = var.backup_vaults },
    { Sid = "TagRecoveryPoints", Effect = "Allow", Action = "backup:TagResource", Resource = local.recovery_points },
  ]

  reads_sources = [for statement in [
    {
      Sid      = "ListProtectedBuckets"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = [for name in var.protected_buckets : "${local.arn}:s3:::${name}"]
    },
    {
      Sid      = "ReadProtectedBuckets"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectTagging"]
      Resource = [for name in var.protected_buckets : "${local.arn}:s3:::${name}/*"]
    },
    {
      Sid       = "ReadWithSourceKeys"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = var.source_keys
      Condition = { StringLike = { "kms:ViaService" = "s3.*.amazonaws.com" } }
    },
  ] : statement if length(var.protected_buckets) > 0]

  copies_snapshots = [
    {
      Sid      = "CopySnapshots"
      Effect   = "Allow"
      Action   = ["rds:CopyDBSnapshot", "rds:CopyDBClusterSnapshot", "rds:AddTagsToResource"]
      Resource = concat(local.rds_snapshots, local.rds["og"])
    },
  ]
  copies_recovery_points = [
    { Sid = "CopyRecoveryPoints", Effect = "Allow", Action = ["backup:StartCopyJob", "backup:TagResource"], Resource = local.recovery_points },
    { Sid = "CopyIntoVaults", Effect = "Allow", Action = "backup:CopyIntoBackupVault", Resource = var.backup_vaults },
  ]

  # A repair moves what is damaged into quarantine before it puts the right bytes there. The bucket keeps the version.
  repairs = [{ Sid = "HideWhatIsDamaged", Effect = "Allow", Action = "s3:DeleteObject", Resource = local.vault_objects }]

  deletes = [
    { Sid = "DeleteFromVaults", Effect = "Allow", Action = "s3:DeleteObject", Resource = local.vault_objects },
    { Sid = "DeleteSnapshots", Effect = "Allow", Action = ["rds:DeleteDBSnapshot", "rds:DeleteDBClusterSnapshot"], Resource = local.our_rds_snapshots },
    { Sid = "DeleteTableBackups", Effect = "Allow", Action = "dynamodb:DeleteBackup", Resource = local.table_backups },
    { Sid = "DeleteRecoveryPoints", Effect = "Allow", Action = "backup:DeleteRecoveryPoint", Resource = local.recovery_points },
  ]

  restore_targets = concat([local.drills], [for name in var.restore_buckets : "${local.arn}:s3:::${name}"])
  restore_objects = concat([local.drill_objects], [for name in var.restore_buckets : "${local.arn}:s3:::${name}/*"])
  restores = [
    { Sid = "LookAtTargets", Effect = "Allow", Action = "s3:ListBucket", Resource = local.restore_targets },
    {
      Sid      = "WriteTargets"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectTagging", "s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload"]
      Resource = local.restore_objects
    },
    {
      Sid       = "TargetKeys"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = var.source_keys
      Condition = { StringLike = { "kms:ViaService" = "s3.*.amazonaws.com" } }
    },
    {
      Sid    = "RestoreDatabases"
      Effect = "Allow"
      Action = [
        "rds:RestoreDBInstanceFromDBSnapshot", "rds:RestoreDBClusterFromSnapshot", "rds:CreateDBInstance", "rds:AddTagsToResource",
      ]
      Resource = concat(local.rds["db"], local.rds["cluster"], local.rds_snapshots, local.rds["subgrp"], local.rds["pg"], local.rds["cluster-pg"], local.rds["og"])
    },
    {
      # DynamoDB asks whoever restores for the right to fill the new table, and so to rewrite any table of such a name.
      Sid    = "RestoreTables"
      Effect = "Allow"
      Action = [
        "dynamodb:RestoreTableFromBackup", "dynamodb:TagResource", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem",
        "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
      ]
      Resource = concat(local.new_tables, [local.table_backups])
    },
    { Sid = "RestoreRecoveryPoints", Effect = "Allow", Action = "backup:StartRestoreJob", Resource = local.recovery_points },
  ]

  # All versions of it, should somebody switch versioning on.
  cleans_drills = [
    { Sid = "ListDrills", Effect = "Allow", Action = ["s3:ListBucket", "s3:ListBucketVersions"], Resource = local.drills },
    { Sid = "CleanDrills", Effect = "Allow", Action = ["s3:DeleteObject", "s3:DeleteObjectVersion"], Resource = local.drill_objects },
  ]

  # What plans may change stands in var.actuators and nowhere else; without any there is nothing to grant.
  recovers = concat(
    [for statement in [
      {
        Sid      = "Markers"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = "${local.arn}:s3:::${coalesce(var.marker_bucket, "none")}/traffic/*"
      },
      # Without it a marker that is not there looks like one that may not be read.
      { Sid = "FindMarkers", Effect = "Allow", Action = "s3:ListBucket", Resource = "${local.arn}:s3:::${coalesce(var.marker_bucket, "none")}" },
    ] : statement if var.marker_bucket != null],
    [for statement in [
      {
        Sid      = "MoveGlobalDatabases"
        Effect   = "Allow"
        Action   = ["rds:DescribeGlobalClusters", "rds:SwitchoverGlobalCluster", "rds:FailoverGlobalCluster"]
        Resource = local.actuators["global"]
      },
      {
        Sid      = "PromoteReplicas"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBInstances", "rds:PromoteReadReplica"]
        Resource = local.actuators["replica"]
      },
      { Sid = "ScaleServices", Effect = "Allow", Action = ["ecs:DescribeServices", "ecs:UpdateService"], Resource = local.actuators["ecs"] },
      {
        Sid    = "GateFunctions"
        Effect = "Allow"
        Action = [
          "lambda:GetFunctionConcurrency", "lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency", "lambda:InvokeFunction",
        ]
        Resource = local.actuators["function"]
      },
      { Sid = "ScaleGroups", Effect = "Allow", Action = ["autoscaling:SetDesiredCapacity"], Resource = local.actuators["group"] },
      {
        Sid      = "LookAtGroups"
        Effect   = "Allow"
        Action   = ["autoscaling:DescribeAutoScalingGroups"]
        Resource = length(local.actuators["group"]) == 0 ? [] : ["*"] # IAM knows no resource for it
      },
      {
        Sid      = "SwitchRouting"
        Effect   = "Allow"
        Action   = ["route53-recovery-cluster:GetRoutingControlState", "route53-recovery-cluster:UpdateRoutingControlStates"]
        Resource = local.actuators["control"]
      },
    ] : statement if length(statement.Resource) > 0],
  )

  # No function destroys a version: what is deleted in a vault can be brought back for as long as the bucket keeps versions.
  keeps_versions = [
    { Sid = "NeverDestroysVersions", Effect = "Deny", Action = "s3:DeleteObjectVersion", NotResource = local.drill_objects },
  ]

  # A function that is not lifecycle destroys nothing, whatever its other statements come to say one day.
  never_destroys = concat(local.keeps_versions, [
    {
      Sid    = "NeverDestroys"
      Effect = "Deny"
      Action = [
        "s3:BypassGovernanceRetention", "rds:DeleteDBSnapshot", "rds:DeleteDBClusterSnapshot", "dynamodb:DeleteBackup",
        "backup:DeleteRecoveryPoint",
      ]
      Resource = "*" # a refusal: of everything
    },
  ])

  # Those whose engines work with snapshots of services.
  looking = setintersection(["snapshot-trigger", "verifier", "replicator", "lifecycle", "restore-runner"], var.functions)

  duties = {
    scheduler = local.never_destroys
    snapshot-trigger = concat(
      local.reads_vaults, local.writes_vaults, local.makes_repositories, local.reads_sources,
      local.backs_up, local.reads_servers, local.hands_role_to_backup, local.lets_services_use_keys, local.never_destroys,
    )
    verifier = concat(
      local.reads_vaults, local.writes_vaults, local.repairs, local.copies_snapshots, local.lets_services_use_keys,
      local.signs_evidence, local.never_destroys,
    )
    replicator = concat(
      local.reads_vaults, local.writes_vaults, local.makes_repositories, local.copies_snapshots, local.copies_recovery_points,
      local.hands_role_to_backup, local.lets_services_use_keys, local.never_destroys,
    )
    lifecycle = concat(local.reads_vaults, local.writes_vaults, local.deletes, local.keeps_versions)
    restore-runner = concat(
      local.reads_vaults, local.unlocks, local.restores, local.signs_evidence,
      local.hands_role_to_backup, local.lets_services_use_keys, local.never_destroys,
    )
    dr-failover = concat(local.cleans_drills, local.recovers, local.signs_evidence, local.never_destroys)
  }
}

resource "aws_iam_role" "function" {
  for_each             = toset(var.functions)
  name                 = "${var.name}-${each.key}"
  description          = "What ${each.key} of Holdfast may do"
  permissions_boundary = aws_iam_policy.boundary.arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account }
        ArnEquals    = { "aws:SourceArn" = local.lambdas[each.key] }
      }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = toset(var.functions)
  name     = "duties"
  role     = aws_iam_role.function[each.key].id
  policy   = jsonencode({ Version = "2012-10-17", Statement = concat(local.common[each.key], local.duties[each.key]) })
}

# In a policy of its own: IAM takes 10,240 characters of inline policy for a role.
resource "aws_iam_policy" "looks" {
  count       = length(local.looking) > 0 ? 1 : 0
  name        = "${var.name}-looks-at-services"
  description = "Look at snapshots, jobs and recovery points of services"
  policy      = jsonencode({ Version = "2012-10-17", Statement = local.looks_at_services })
}

resource "aws_iam_role_policy_attachment" "looks" {
  for_each   = local.looking
  role       = aws_iam_role.function[each.key].name
  policy_arn = aws_iam_policy.looks[0].arn
}
