# What functions may do, in parts that several of them share. Each part is a list, so that parts add up.

locals {
  # Catalog, bus, pager, its own queue, its own log: what every function has.
  common = { for name in var.functions : name => [
    {
      Sid      = "Catalog"
      Effect   = "Allow"
      Action   = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem"]
      Resource = [var.table_arn, "${var.table_arn}/index/waking"]
    },
    {
      Sid      = "Bus"
      Effect   = "Allow"
      Action   = "events:PutEvents"
      Resource = "${local.arn}:events:${local.home}:event-bus/holdfast"
    },
    {
      Sid      = "Pager"
      Effect   = "Allow"
      Action   = "sns:Publish"
      Resource = var.alert_topic
    },
    {
      Sid       = "PagerKey"
      Effect    = "Allow"
      Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource  = var.alert_key
      Condition = { StringEquals = { "kms:ViaService" = "sns.${var.home_region}.amazonaws.com" } }
    },
    {
      Sid      = "OwnQueue"
      Effect   = "Allow"
      Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:SendMessage"]
      Resource = local.queues[name]
    },
    {
      Sid      = "OwnDeadLetters"
      Effect   = "Allow"
      Action   = "sqs:SendMessage"
      Resource = local.dead_letters[name]
    },
    {
      Sid      = "OwnLog"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = local.logs[name]
    },
    {
      Sid      = "Traces"
      Effect   = "Allow"
      Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      Resource = "*" # X-Ray has no resources to name
    },
  ] }

  # Opening a repository: its files, its lock, the key that its master key is wrapped with.
  reads_vaults = [
    { Sid = "ListVaults", Effect = "Allow", Action = "s3:ListBucket", Resource = local.vaults },
    { Sid = "ReadVaults", Effect = "Allow", Action = ["s3:GetObject"], Resource = local.vault_objects },
    { Sid = "LockRepositories", Effect = "Allow", Action = ["s3:PutObject"], Resource = local.locks },
    {
      Sid       = "VaultKeysForObjects"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = var.vault_keys
      Condition = { StringLike = { "kms:ViaService" = "s3.*.amazonaws.com" } }
    },
    { Sid = "UnwrapMasterKeys", Effect = "Allow", Action = "kms:Decrypt", Resource = var.wrapping_keys },
  ]
  unlocks = [{ Sid = "RemoveOwnLocks", Effect = "Allow", Action = "s3:DeleteObject", Resource = local.locks }]

  # Adding to a repository. Versions make an overwritten object recoverable; none is removed by this. What locks them is the
  # bucket's own default, if it has one.
  writes_vaults = [{
    Sid      = "AddToVaults"
    Effect   = "Allow"
    Action   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    Resource = local.vault_objects
  }]

  makes_repositories = [
    { Sid = "WrapMasterKeys", Effect = "Allow", Action = "kms:Encrypt", Resource = var.wrapping_keys },
    { Sid = "EscrowPassword", Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = var.escrow_secret },
    {
      Sid       = "EscrowKey"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = var.escrow_key
      Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.home_region}.amazonaws.com" } }
    },
    { Sid = "Housekeeping", Effect = "Allow", Action = "s3:DeleteObject", Resource = local.housekeeping },
  ]

  # Passwords of PostgreSQL servers.
  reads_passwords = [for statement in [
    { Sid = "ServerPasswords", Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = var.server_secrets },
    {
      Sid       = "KeysOfServerPasswords"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = var.source_keys
      Condition = { StringLike = { "kms:ViaService" = "secretsmanager.*.amazonaws.com" } }
    },
  ] : statement if length(var.server_secrets) > 0]

  # Lambda makes the interfaces by which a function stands in a network, in the function's name. What the function itself runs
  # is refused it (Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC").
  interfaces = [
    "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
  ]
  stands_in_network = [for statement in [
    { Sid = "Interfaces", Effect = "Allow", Action = local.interfaces, Resource = "*" }, # Lambda asks for all: it names none beforehand
    {
      Sid       = "InterfacesAreForLambdaItself"
      Effect    = "Deny"
      Action    = local.interfaces
      Resource  = "*" # a refusal: of everything
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = "${local.arn}:lambda:${local.home}:function:holdfast-snapshot-trigger" } }
    },
  ] : statement if length(var.server_subnets) > 0]
  reads_servers = concat(local.reads_passwords, local.stands_in_network)

  signs_evidence = [
    { Sid = "Sign", Effect = "Allow", Action = ["kms:Sign", "kms:Verify", "kms:GetPublicKey"], Resource = var.signing_key },
    { Sid = "ListEvidence", Effect = "Allow", Action = "s3:ListBucket", Resource = local.evidence },
    { Sid = "WriteEvidence", Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject", "s3:PutObjectRetention"], Resource = local.statements },
    {
      Sid       = "EvidenceKeys"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = var.evidence_keys
      Condition = { StringLike = { "kms:ViaService" = "s3.*.amazonaws.com" } }
    },
  ]

  # Looking at snapshots, jobs and recovery points of services.
  looks_at_services = [
    {
      Sid    = "LookAtDatabases"
      Effect = "Allow"
      Action = [
        "rds:DescribeDBInstances", "rds:DescribeDBClusters", "rds:DescribeDBSnapshots", "rds:DescribeDBClusterSnapshots",
        "rds:DescribeDBInstanceAutomatedBackups",
      ]
      Resource = concat(local.rds["db"], local.rds["cluster"], local.rds["auto-backup"], local.rds_snapshots)
    },
    {
      Sid      = "LookAtTables"
      Effect   = "Allow"
      Action   = ["dynamodb:DescribeTable", "dynamodb:DescribeBackup", "dynamodb:ListTagsOfResource"]
      Resource = [local.tables, local.table_backups]
    },
    {
      Sid      = "LookAtRecoveryPoints"
      Effect   = "Allow"
      Action   = ["backup:DescribeRecoveryPoint", "backup:GetRecoveryPointRestoreMetadata", "backup:ListTags"]
      Resource = local.recovery_points
    },
    {
      Sid      = "LookIntoBackupVaults"
      Effect   = "Allow"
      Action   = ["backup:DescribeBackupVault", "backup:ListRecoveryPointsByBackupVault"]
      Resource = var.backup_vaults
    },
    {
      Sid    = "LookAtJobs"
      Effect = "Allow"
      Action = [
        "backup:DescribeBackupJob", "backup:DescribeCopyJob", "backup:DescribeRestoreJob", "dynamodb:ListBackups",
        "rds:DescribeAccountAttributes",
      ]
      Resource = "*" # jobs of AWS Backup, the list of table backups and the quotas of RDS have no resources to name
    },
  ]

  hands_role_to_backup = [{
    Sid       = "HandRoleToBackup"
    Effect    = "Allow"
    Action    = "iam:PassRole"
    Resource  = local.backup_role
    Condition = { StringEquals = { "iam:PassedToService" = "backup.amazonaws.com" } }
  }]

  # RDS and DynamoDB encrypt and decrypt in the caller's name, and keep a grant on the key.
  lets_services_use_keys = [
    {
      Sid       = "KeysThroughServices"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:DescribeKey"]
      Resource  = concat(var.vault_keys, var.source_keys)
      Condition = { StringLike = { "kms:ViaService" = ["rds.*.amazonaws.com", "dynamodb.*.amazonaws.com", "backup.*.amazonaws.com"] } }
    },
    {
      Sid       = "GrantsForServices"
      Effect    = "Allow"
      Action    = "kms:CreateGrant"
      Resource  = concat(var.vault_keys, var.source_keys)
      Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
    },
  ]
}
