# What is read before the commands of a page: nobody is there to answer questions, and
# the buckets that no configuration names are in a store that has one address.
set -euo pipefail
s3gate() {
  local more=()
  case "$1 ${2:-}" in
    "bucket "*)
      case " $* " in *" --config "* | *" --policy "* | *" bucket iam "*) ;; *) more+=(--path-style) ;; esac
      case "$2 $*" in *--dry-run* | *--print*) ;; lock* | unlock* | rollback* | harden*) more+=(--yes) ;; esac ;;
    "leakwatch "*) case "$*" in *s3://*) more+=(--path-style) ;; esac ;;
  esac
  command s3gate "$@" "${more[@]}"
}
