# The first seven are checked in modules/nodes, so that every way to machines refuses the same things.

variable "cluster_name" {
  description = "Name of the cluster; every machine, network and rule begins with it."
  type        = string
  default     = "segue"
}

variable "control_plane_count" {
  description = "Machines that run etcd and the Kubernetes API: 1, 3, 5 or 7."
  type        = number
  default     = 1
}

variable "worker_count" {
  description = "Machines that run everything else; with 0 the control plane does."
  type        = number
  default     = 2
}

variable "ssh_user" {
  description = "User that cloud-init makes and that Ansible logs in as."
  type        = string
  default     = "segue"
}

variable "ssh_public_keys" {
  description = "Public keys that may log in; they are the only way in."
  type        = list(string)
}

variable "network_cidr" {
  description = "IPv4 network of the nodes, at least a /24."
  type        = string
  default     = "10.30.0.0/24"
}

variable "pod_cidr" {
  description = "IPv4 network of the pods; nodes route it between each other as it is."
  type        = string
  default     = "10.244.0.0/16"
}

variable "libvirt_uri" {
  description = "Which libvirt to speak to."
  type        = string
  default     = "qemu:///system"
  nullable    = false

  # Plain TCP would send everything, with the right to do anything on the host, unencrypted and unasked.
  validation {
    condition     = can(regex("^qemu(\\+(ssh|sshcmd|tls))?://[^ ]*/system(\\?[^ ]*)?$", var.libvirt_uri))
    error_message = "libvirt_uri is \"${var.libvirt_uri}\"; it needs qemu:///system on this host, or qemu+ssh://user@host/system (qemu+tls also) for another."
  }
}

variable "jump_host" {
  description = "user@host that Ansible goes through when it runs on another machine than the libvirt host; null on the host itself."
  type        = string
  default     = null

  validation {
    condition     = var.jump_host == null || can(regex("^[a-z_][a-z0-9_-]*@[A-Za-z0-9.-]+$", var.jump_host))
    error_message = "jump_host is \"${coalesce(var.jump_host, "null")}\"; it needs user@host, or null where Ansible runs on the libvirt host itself."
  }
}

variable "storage_path" {
  description = "Folder on the libvirt host; the cluster's disks go to a folder of its name in it."
  type        = string
  default     = "/var/lib/libvirt/images"
  nullable    = false

  validation {
    condition     = can(regex("^/[^ ]*[^ /]$", var.storage_path))
    error_message = "storage_path is \"${var.storage_path}\"; it needs an absolute path without spaces and without a slash at the end."
  }
}

variable "image" {
  description = "Cloud image (qcow2) with cloud-init: a file on the machine that runs Terraform, or an HTTPS address."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^(/|https://)[^ ]+$", var.image))
    error_message = "image is \"${var.image}\"; it needs the absolute path of a qcow2 file, or an https:// address of one: plain http would let anybody on the way choose what boots."
  }
}

variable "control_plane_size" {
  description = "Cores and memory of a control plane; with worker_count 0 all the rest has to fit here too."
  type        = object({ cores = number, memory_mib = number })
  default     = { cores = 2, memory_mib = 4096 }
  nullable    = false

  validation {
    condition     = var.control_plane_size.cores >= 2 && var.control_plane_size.memory_mib >= 2048
    error_message = "control_plane_size is ${jsonencode(var.control_plane_size)}; kubeadm refuses a control plane with fewer than 2 cores or with less than 1700 MiB, so take at least 2 cores and 2048 MiB."
  }
}

variable "worker_size" {
  description = "Cores and memory of a worker."
  type        = object({ cores = number, memory_mib = number })
  default     = { cores = 4, memory_mib = 8192 }
  nullable    = false

  validation {
    condition     = var.worker_size.cores >= 1 && var.worker_size.memory_mib >= 2048
    error_message = "worker_size is ${jsonencode(var.worker_size)}; a worker needs at least 1 core and 2048 MiB to run anything beside the kubelet."
  }
}

variable "root_disk_gib" {
  description = "Size of each machine's root disk in GiB; images and logs live there."
  type        = number
  default     = 40
  nullable    = false

  validation {
    condition     = var.root_disk_gib >= 20 && floor(var.root_disk_gib) == var.root_disk_gib
    error_message = "root_disk_gib is ${var.root_disk_gib}; system, container images and logs need whole GiB, at least 20."
  }
}

variable "data_volume_gib" {
  description = "Size of the object store's disk in GiB. It can grow later, never shrink."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.data_volume_gib >= 10 && floor(var.data_volume_gib) == var.data_volume_gib
    error_message = "data_volume_gib is ${var.data_volume_gib}; the object store needs a disk of whole GiB, at least 10."
  }
}
