# The parameters of ../template.yaml that have no default, by their names there:
#
#   terraform -chdir=infra output -json sam_parameters > target/parameters.yaml
#   sam deploy --parameter-overrides file://target/parameters.yaml
#
# JSON is YAML as well, and SAM takes no file whose name ends in .json.
output "sam_parameters" {
  description = "Every parameter that template.yaml needs, ready for sam deploy --parameter-overrides file://..."
  value = {
    CatalogTable       = module.catalog.table
    AlertTopicArn      = module.alerts.alert_topic
    SignalsTopicArn    = module.alerts.signals_topic
    Vaults             = jsonencode(local.vaults)
    Evidence           = jsonencode(local.evidence)
    WrappingKeyArn     = module.keys.wrapping_keys[0]
    SigningKeyArn      = module.keys.signing_key
    EscrowSecretArn    = module.keys.escrow_secret
    BackupRoleArn      = module.roles.backup_role
    DrillArea          = "s3://${module.drills.bucket}/drills"
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
