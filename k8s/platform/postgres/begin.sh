# Make the database cluster with MLflow's database and that of feedback in it, whole or not at all; one that stands is left alone.
set -eu
if [ -s /data/cluster/PG_VERSION ]; then exit 0; fi
secrets=/var/run/segue/postgres
new=/data/cluster.new
rm -rf "$new"
# Who is in this pod and is its user may work on it (a backup does); everybody else needs a password.
initdb --pgdata="$new" --username=postgres --pwfile="$secrets/password" --auth-local=peer --auth-host=scram-sha-256 --data-checksums >/dev/null
echo "host all all all scram-sha-256" >>"$new/pg_hba.conf"
pg_ctl --pgdata="$new" --wait --options="-c listen_addresses='' -k /tmp" --log=/tmp/begin.log start >/dev/null
for name in mlflow segue; do
    psql --host=/tmp --username=postgres --quiet --set=ON_ERROR_STOP=1 --set=name="$name" \
        --set=password="$(cat "$secrets/$name-password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
pg_ctl --pgdata="$new" --wait stop >/dev/null
mv "$new" /data/cluster
