# What survives a redeploy of the functions: data, keys, roles, topics. Functions, queues, rules, timers and alarms are in
# ../template.yaml; neither owns anything of the other's. The names of those (holdfast-<function>) are fixed on both sides.

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

locals {
  account   = data.aws_caller_identity.here.account_id
  partition = data.aws_partition.here.partition
  regions   = { primary = var.home_region, recovery = var.recovery_region }
  isolated  = var.isolated_account_role == null ? {} : { isolated = var.recovery_region }
}

module "keys" {
  source = "./modules/keys"

  account         = local.account
  partition       = local.partition
  home_region     = var.home_region
  recovery_region = var.recovery_region
  signing_regions = concat([var.home_region], values(local.recovers))
}

module "catalog" {
  source = "./modules/catalog"

  name            = "holdfast-catalog"
  account         = local.account
  partition       = local.partition
  home_region     = var.home_region
  recovery_region = var.recovery_region
}

module "vault" {
  source   = "./modules/vault"
  for_each = local.regions

  name              = each.key
  region            = each.value
  account           = local.account
  partition         = local.partition
  lock_days         = var.vault_lock_days
  backup_lock_days  = var.backup_lock_days
  lock_is_permanent = var.backup_lock_is_permanent
  # A topic takes messages from vaults of its own Region only.
  notifies            = each.key == "primary"
  notify_topic        = module.alerts.signals_topic
  trusted_account     = null
  trusted_account_arn = null
}

# Copies that an intruder with every right in the first account cannot reach.
module "isolated_vault" {
  source    = "./modules/vault"
  for_each  = local.isolated
  providers = { aws = aws.isolated }

  name                = each.key
  region              = each.value
  account             = split(":", var.isolated_account_role)[4]
  partition           = local.partition
  lock_days           = var.vault_lock_days
  backup_lock_days    = var.backup_lock_days
  lock_is_permanent   = var.backup_lock_is_permanent
  notifies            = false
  notify_topic        = null
  trusted_account     = local.account
  trusted_account_arn = "arn:${local.partition}:iam::${local.account}:root"
}

module "evidence" {
  source   = "./modules/evidence"
  for_each = local.regions

  name      = "holdfast-evidence"
  region    = each.value
  account   = local.account
  partition = local.partition
  lock_days = var.evidence_lock_days
}

module "drills" {
  source   = "./modules/bucket"
  for_each = merge({ primary = var.home_region }, local.recovers)

  # Drills restore where the functions run, into a bucket that holds nothing else.
  name                = "holdfast-drills-${local.account}-${each.value}"
  region              = each.value
  partition           = local.partition
  key_arn             = module.vault[each.key].key_arn
  is_versioned        = false
  lock_days           = null
  lock_mode           = null
  expire_days         = 7
  trusted_account     = null
  trusted_account_arn = null
}

module "markers" {
  source = "./modules/markers"

  # Where runs that move production are driven: whatever leads traffic away from a Region must not stand in it.
  account   = local.account
  partition = local.partition
  region    = local.mover
  markers   = var.traffic_markers
}

module "alerts" {
  source = "./modules/alerts"

  account       = local.account
  partition     = local.partition
  home_region   = var.home_region
  emails        = var.alert_emails
  endpoints     = var.alert_endpoints
  takes_signals = true
}

module "budget" {
  source = "./modules/budget"

  limit_usd = var.monthly_budget_usd
  topic     = module.alerts.alert_topic
}

module "forward" {
  source = "./modules/forward"

  account         = local.account
  partition       = local.partition
  home_region     = var.home_region
  recovery_region = var.recovery_region
  bucket          = module.vault["recovery"].bucket
}

module "roles" {
  source = "./modules/roles"

  name                = "holdfast"
  functions           = ["scheduler", "snapshot-trigger", "verifier", "replicator", "lifecycle", "restore-runner", "dr-failover"]
  account             = local.account
  partition           = local.partition
  regions             = values(local.regions)
  home_region         = var.home_region
  table_arn           = module.catalog.table_arn
  alert_topic         = module.alerts.alert_topic
  alert_key           = module.alerts.key_arn
  vault_buckets       = [for vault in local.vaults : vault.bucket]
  vault_keys          = [for vault in local.vaults : vault.key]
  backup_vaults       = [for vault in values(module.vault) : vault.backup_vault_arn]
  history_bucket      = module.evidence["primary"].bucket
  actuators           = var.recovery_deployment ? [] : var.actuators
  marker_bucket       = var.recovery_deployment ? null : module.markers.bucket
  evidence_buckets    = [for bucket in values(module.evidence) : bucket.bucket]
  evidence_keys       = [for bucket in values(module.evidence) : bucket.key_arn]
  drill_bucket        = module.drills["primary"].bucket
  wrapping_keys       = module.keys.wrapping_keys
  signing_key         = module.keys.signing_keys[var.home_region]
  source_keys         = concat([module.keys.production_key], var.source_keys)
  escrow_secret       = module.keys.escrow_secret
  escrow_key          = module.keys.escrow_key
  server_secrets      = var.server_secrets
  server_subnets      = var.server_subnets
  protected_buckets   = var.protected_buckets
  restore_buckets     = var.restore_buckets
  restore_tables      = var.restore_tables
  operator_principals = var.operator_principals
  approver_principals = var.approver_principals
}

locals {
  # As `HOLDFAST_VAULTS` and `HOLDFAST_EVIDENCE` of the functions spell them.
  vaults = [for vault in concat(values(module.vault), values(module.isolated_vault)) : {
    name         = vault.name
    region       = vault.region
    bucket       = vault.bucket
    key          = vault.key_arn
    backup_vault = vault.backup_vault
  }]
  evidence = [for bucket in values(module.evidence) : {
    region    = bucket.region
    bucket    = bucket.bucket
    lock_days = var.evidence_lock_days
  }]
}
