# Sourced inside a mount namespace. `overlay_root LOWER WORK` makes WORK/root, a view of LOWER that keeps all changes in
# memory.
overlay_root() {
  mkdir -p "$2"
  mount -t tmpfs tmpfs "$2"
  mkdir "$2/upper" "$2/work" "$2/root"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
  local place
  for place in proc sys dev; do mount --rbind "/$place" "$2/root/$place"; done
}
