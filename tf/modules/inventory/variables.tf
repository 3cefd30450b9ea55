variable "nodes" {
  description = "name => {role, ip}, as modules/nodes gives them."
  type        = map(object({ role = string, ip = string }))
  nullable    = false
}

variable "ssh_user" {
  description = "User that Ansible logs in as."
  type        = string
  nullable    = false
}

variable "public_ips" {
  description = "name => address at which a node is reached from outside."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "jump_host" {
  description = "user@host through which nodes without a public address are reached; null where they are reached directly."
  type        = string
  default     = null
}

variable "data_node" {
  description = "Name of the node that carries the object store's disk."
  type        = string
  nullable    = false
}

variable "data_disk" {
  description = "Path of that disk on that node; one that a reboot does not change."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.data_disk, "/dev/disk/by-id/")
    error_message = "data_disk is \"${var.data_disk}\"; it needs a path under /dev/disk/by-id, since names such as /dev/vdb can mean another disk after a reboot."
  }
}

variable "pod_cidr" {
  description = "IPv4 network of the pods, which the machines' network was opened for."
  type        = string
  nullable    = false
}
