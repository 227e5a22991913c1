# A deployment of its own in the recovery Region, for moving workloads alone; its functions are in ../template-recovery.yaml. It
# stands when the home Region is lost, so nothing that it needs is there. It shares nothing that is written with the
# deployment of the home Region: a catalog with writers in two Regions could name two writers of a workload.

locals {
  recovers = var.recovery_deployment ? { recovery = var.recovery_region } : {}
  # One deployment only has the right to move production, so that no two can disagree about where it is.
  mover = var.recovery_deployment ? var.recovery_region : var.home_region

  recovery_evidence = [for bucket in values(module.recovery_evidence) : {
    region    = bucket.region
    bucket    = bucket.bucket
    lock_days = var.evidence_lock_days
  }]
}

module "recovery_catalog" {
  source   = "./modules/catalog"
  for_each = local.recovers

  name            = "holdfast-recovery-catalog"
  account         = local.account
  partition       = local.partition
  home_region     = each.value
  recovery_region = var.home_region
}

module "recovery_evidence" {
  source   = "./modules/evidence"
  for_each = local.recovers

  name      = "holdfast-recovery-evidence"
  region    = each.value
  account   = local.account
  partition = local.partition
  lock_days = var.evidence_lock_days
}

module "recovery_alerts" {
  source   = "./modules/alerts"
  for_each = local.recovers

  account       = local.account
  partition     = local.partition
  home_region   = each.value
  emails        = var.alert_emails
  endpoints     = var.alert_endpoints
  takes_signals = false
}

module "recovery_roles" {
  source   = "./modules/roles"
  for_each = local.recovers

  name                = "holdfast-recovery"
  functions           = ["scheduler", "dr-failover"]
  account             = local.account
  partition           = local.partition
  regions             = [each.value]
  home_region         = each.value
  table_arn           = module.recovery_catalog[each.key].table_arn
  alert_topic         = module.recovery_alerts[each.key].alert_topic
  alert_key           = module.recovery_alerts[each.key].key_arn
  history_bucket      = module.recovery_evidence[each.key].bucket
  actuators           = var.actuators
  marker_bucket       = module.markers.bucket
  evidence_buckets    = [module.recovery_evidence[each.key].bucket]
  evidence_keys       = [module.recovery_evidence[each.key].key_arn]
  drill_bucket        = module.drills[each.key].bucket
  signing_key         = module.keys.signing_keys[each.value]
  operator_principals = var.operator_principals
  approver_principals = var.approver_principals

  # It protects nothing: neither function opens a vault, makes a snapshot or reads a source.
  vault_buckets     = []
  vault_keys        = []
  backup_vaults     = []
  wrapping_keys     = []
  source_keys       = []
  escrow_secret     = module.keys.escrow_secret
  escrow_key        = module.keys.escrow_key
  server_secrets    = []
  server_subnets    = []
  protected_buckets = []
  restore_buckets   = []
  restore_tables    = []
}
