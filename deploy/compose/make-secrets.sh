#!/bin/sh
# Makes the secrets of compose.yaml in ./secrets, those that are not there yet.
#
# Nobody but you may enter the folder. The files in it are for everybody to read, since
# Compose mounts them as they are and the processes in the containers run as others.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets

secret() {
  test -s "secrets/$1" || head -c 32 /dev/urandom | base64 | tr -d '\n=+/' >"secrets/$1"
}

secret jwt_key
secret mint_secret
secret redis_password
secret store_root
secret store_key
printf 'requirepass %s\n' "$(cat secrets/redis_password)" >secrets/redis_auth
chmod 444 secrets/*
