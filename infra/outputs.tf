# The parameters of ../template.yaml that have no default, by their names there:
#
#   terraform -chdir=infra output -json sam_parameters > target/parameters.yaml
#   sam deploy --parameter-overrides file://target/parameters.yaml
#
# JSON is YAML as well, and SAM takes no file whose name ends in .json. `recovery_parameters` are those of ../template-recovery.yaml.
output "sam_parameters" {
  description = "Every parameter that template.yaml needs, ready for sam deploy --parameter-overrides file://..."
  value = {
    CatalogTable       = module.catalog.table
    AlertTopicArn      = module.alerts.alert_topic
    SignalsTopicArn    = module.alerts.signals_topic
    Vaults             = jsonencode(local.vaults)
    Evidence           = jsonencode(local.evidence)
    WrappingKeyArn     = module.keys.wrapping_keys[0]
    SigningKeyArn      = module.keys.signing_keys[var.home_region]
    EscrowSecretArn    = module.keys.escrow_secret
    BackupRoleArn      = module.roles.backup_role
    DrillArea          = "s3://${module.drills["primary"].bucket}/drills"
    PrimaryVaultBucket = module.vault["primary"].bucket

    RecoveryVaultBucket    = module.vault["recovery"].bucket
    SchedulerRoleArn       = module.roles.function_roles["scheduler"]
    SnapshotTriggerRoleArn = module.roles.function_roles["snapshot-trigger"]
    VerifierRoleArn        = module.roles.function_roles["verifier"]
    ReplicatorRoleArn      = module.roles.function_roles["replicator"]
    LifecycleRoleArn       = module.roles.function_roles["lifecycle"]
    RestoreRunnerRoleArn   = module.roles.function_roles["restore-runner"]
    DrFailoverRoleArn      = module.roles.function_roles["dr-failover"]
    TimersRoleArn          = module.roles.timers_role
    RecoveryRoleArn        = module.roles.recovery_role
    EvidenceBucket         = module.evidence["primary"].bucket
    ServerSubnets          = join(",", var.server_subnets)
    ServerSecurityGroups   = join(",", var.server_security_groups)
  }
}

output "recovery_parameters" {
  description = "Every parameter that template-recovery.yaml needs; null without recovery_deployment."
  value = one([for name, _ in local.recovers : {
    CatalogTable      = module.recovery_catalog[name].table
    AlertTopicArn     = module.recovery_alerts[name].alert_topic
    Vaults            = jsonencode([for vault in local.vaults : vault if vault.name == name])
    Evidence          = jsonencode(local.recovery_evidence)
    WrappingKeyArn    = module.keys.wrapping_keys[1]
    SigningKeyArn     = module.keys.signing_keys[var.recovery_region]
    EscrowSecretArn   = replace(module.keys.escrow_secret, ":${var.home_region}:", ":${var.recovery_region}:")
    BackupRoleArn     = module.roles.backup_role
    DrillArea         = "s3://${module.drills[name].bucket}/drills"
    SchedulerRoleArn  = module.recovery_roles[name].function_roles["scheduler"]
    DrFailoverRoleArn = module.recovery_roles[name].function_roles["dr-failover"]
    TimersRoleArn     = module.recovery_roles[name].timers_role
    RecoveryRoleArn   = module.recovery_roles[name].recovery_role
    EvidenceBucket    = module.recovery_evidence[name].bucket
  }])
}

output "recovery_people_roles" {
  description = "The roles that people assume, with MFA, at the deployment in the recovery Region; null without it."
  value       = one([for name, _ in local.recovers : module.recovery_roles[name].people_roles])
}

output "operator_role" {
  description = "The role that people assume, with MFA, to ask for restores and recovery runs."
  value       = module.roles.people_roles["operator"]
}

output "approver_role" {
  description = "The role that people assume, with MFA, to see what an operator asked for before they agree to it."
  value       = module.roles.people_roles["approver"]
}

output "markers" {
  description = "The bucket of the markers that lead traffic, and the health check of each, for the primary record of a failover pair."
  value       = { bucket = module.markers.bucket, health_checks = module.markers.health_checks }
}

output "production_key" {
  description = "The key to encrypt protected resources with. Nothing in a vault is encrypted with it."
  value       = module.keys.production_key
}
