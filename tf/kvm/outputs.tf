output "inventory" {
  description = "The inventory for Ansible; `terraform output -raw inventory` prints it."
  value       = module.inventory.yaml
}

output "entry" {
  description = "Address of the first control plane, from outside."
  value       = openstack_networking_floatingip_v2.entry.address
}
