output "inventory" {
  description = "The inventory for Ansible; `terraform output -raw inventory` prints it."
  value       = module.inventory.yaml
}
