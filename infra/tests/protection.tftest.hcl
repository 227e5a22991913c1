# What must be on: locks, encryption, TLS, protection of the table. Nothing here touches AWS: the providers are mocks.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "111122223333" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
}

mock_provider "aws" {
  alias = "isolated"
}

variables {
  home_region     = "eu-central-1"
  recovery_region = "eu-west-1"
}

run "the_table_is_protected" {
  command = apply

  module {
    source = "./modules/catalog"
  }

  variables {
    name      = "holdfast-catalog"
    account   = "111122223333"
    partition = "aws"
  }

  assert {
    condition     = aws_dynamodb_table.this.deletion_protection_enabled && aws_dynamodb_table.this.point_in_time_recovery[0].enabled
    error_message = "the table can be deleted, or cannot be brought back to a time"
  }

  assert {
    condition     = one(aws_dynamodb_table.this.replica).region_name == "eu-west-1" && one(aws_dynamodb_table.this.replica).deletion_protection_enabled
    error_message = "the replica is missing or unprotected"
  }

  assert {
    condition = (
      aws_dynamodb_table.this.hash_key == "pk" && aws_dynamodb_table.this.range_key == "sk"
      && one(aws_dynamodb_table.this.global_secondary_index).name == "waking"
      && one(aws_dynamodb_table.this.global_secondary_index).hash_key == "wake_status"
      && one(aws_dynamodb_table.this.global_secondary_index).range_key == "wake_at"
      && one(aws_dynamodb_table.this.global_secondary_index).projection_type == "ALL"
    )
    error_message = "the table is not shaped as the functions read it"
  }
}

run "evidence_is_locked" {
  command = apply

  module {
    source = "./modules/evidence"
  }

  variables {
    name      = "holdfast-evidence"
    region    = "eu-west-1"
    account   = "111122223333"
    partition = "aws"
    lock_days = 30
  }

  assert {
    condition     = module.bucket.protection.lock_mode == "COMPLIANCE" && module.bucket.protection.lock_days == 30
    error_message = "a statement can be deleted before its time"
  }

  assert {
    condition     = module.bucket.protection.versioning == "Enabled" && module.bucket.protection.object_lock
    error_message = "the bucket keeps no versions or has no Object Lock"
  }
}

run "a_bucket_is_private_and_talks_tls" {
  command = apply

  module {
    source = "./modules/vault"
  }

  variables {
    name                = "primary"
    region              = "eu-central-1"
    account             = "111122223333"
    partition           = "aws"
    lock_days           = 0
    backup_lock_days    = 7
    lock_is_permanent   = false
    notifies            = false
    notify_topic        = null
    trusted_account     = null
    trusted_account_arn = null
  }

  assert {
    condition = length([for statement in jsondecode(module.bucket.protection.policy).Statement : statement
      if statement.Effect == "Deny" && try(statement.Condition.Bool["aws:SecureTransport"], "") == "false" && statement.Principal == "*"
    ]) == 1
    error_message = "the bucket answers without TLS"
  }

  assert {
    condition     = module.bucket.protection.is_private && module.bucket.protection.object_lock
    error_message = "the bucket can be made public, or locked no more"
  }

  assert {
    condition     = aws_backup_vault_lock_configuration.this[0].min_retention_days == 7 && aws_backup_vault_lock_configuration.this[0].changeable_for_days == null
    error_message = "the vault lock is not the one asked for"
  }

  assert {
    condition     = aws_s3_bucket_notification.this.eventbridge
    error_message = "a vault does not tell when an object vanishes"
  }
}

# SNS gives up 3,600 seconds after the first try whatever a policy says.
run "a_page_is_tried_for_most_of_an_hour" {
  command = apply

  module {
    source = "./modules/alerts"
  }

  variables {
    account       = "111122223333"
    partition     = "aws"
    emails        = []
    endpoints     = ["https://pages.example.com/holdfast"]
    takes_signals = true
  }

  assert {
    condition = alltrue([for policy in [jsondecode(aws_sns_topic_subscription.https["https://pages.example.com/holdfast"].delivery_policy).healthyRetryPolicy] :
      policy.numMaxDelayRetries * policy.maxDelayTarget >= 2400
      && policy.numMinDelayRetries * policy.minDelayTarget + (policy.numRetries - policy.numMinDelayRetries) * policy.maxDelayTarget < 3600
    ])
    error_message = "a page is given up too early, or its last tries are never made"
  }
}

run "a_permanent_lock_leaves_three_days" {
  command = apply

  module {
    source = "./modules/vault"
  }

  variables {
    name                = "primary"
    region              = "eu-central-1"
    account             = "111122223333"
    partition           = "aws"
    lock_days           = 30
    backup_lock_days    = 30
    lock_is_permanent   = true
    notifies            = false
    notify_topic        = null
    trusted_account     = "444455556666"
    trusted_account_arn = "arn:aws:iam::444455556666:root"
  }

  assert {
    condition     = aws_backup_vault_lock_configuration.this[0].changeable_for_days == 3
    error_message = "there is no time to think again"
  }

  assert {
    condition     = module.bucket.protection.lock_mode == "GOVERNANCE" && module.bucket.protection.lock_days == 30
    error_message = "the bucket has no default lock"
  }

  assert {
    condition     = length([for statement in jsondecode(module.bucket.protection.policy).Statement : statement if try(statement.Principal.AWS, "") == "arn:aws:iam::444455556666:root"]) == 1
    error_message = "the other account cannot write"
  }
}

run "vaults_are_told_to_the_functions_as_they_read_them" {
  command = apply

  assert {
    condition     = [for vault in jsondecode(output.sam_parameters.Vaults) : keys(vault)] == [for _ in range(2) : ["backup_vault", "bucket", "key", "name", "region"]]
    error_message = "Vaults is not shaped as HOLDFAST_VAULTS"
  }

  assert {
    condition     = [for bucket in jsondecode(output.sam_parameters.Evidence) : keys(bucket)] == [for _ in range(2) : ["bucket", "lock_days", "region"]]
    error_message = "Evidence is not shaped as HOLDFAST_EVIDENCE"
  }

  assert {
    condition     = toset([for vault in jsondecode(output.sam_parameters.Vaults) : vault.region]) == toset(["eu-central-1", "eu-west-1"])
    error_message = "a Region has no vault"
  }
}

# In a locked vault Holdfast's jobs are refused and its deletions fail.
run "vaults_of_aws_backup_are_not_locked_unasked" {
  command = apply

  assert {
    condition     = var.backup_lock_days == 0 && alltrue([for vault in values(module.vault) : vault.backup_lock == null])
    error_message = "a vault of AWS Backup is locked that nobody asked to lock"
  }
}

run "another_account_gets_one_more_vault" {
  command = apply

  variables {
    isolated_account_role = "arn:aws:iam::444455556666:role/holdfast-setup"
  }

  assert {
    condition     = length(jsondecode(output.sam_parameters.Vaults)) == 3
    error_message = "the third vault is missing"
  }
}
