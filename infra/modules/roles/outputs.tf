output "function_roles" {
  value = { for name in var.functions : name => aws_iam_role.function[name].arn }
}

output "people_roles" {
  value = { for name, _ in local.people : name => aws_iam_role.people[name].arn }
}

output "backup_role" {
  value = one(aws_iam_role.backup[*].arn)
}

output "timers_role" {
  value = aws_iam_role.timers.arn
}

output "recovery_role" {
  value = aws_iam_role.recovery.arn
}

# For the tests of the policies.
output "function_policies" {
  value = { for name in var.functions : name => aws_iam_role_policy.function[name].policy }
}

output "looking_policy" {
  value = one(aws_iam_policy.looks[*].policy)
}

output "looking" {
  value = keys(aws_iam_role_policy_attachment.looks)
}

output "boundary" {
  value = aws_iam_policy.boundary.policy
}

output "function_boundaries" {
  value = { for name in var.functions : name => aws_iam_role.function[name].permissions_boundary }
}

output "people_trust" {
  value = { for name, _ in local.people : name => aws_iam_role.people[name].assume_role_policy }
}

output "people_policies" {
  value = { for name, _ in local.people : name => aws_iam_role_policy.people[name].policy }
}
