#!/bin/sh
# trim.sh VENV: remove what no service runs: tests, headers, examples and editors' stubs of third-party packages.
set -eu
packages=$(echo "$1"/lib/python3.*/site-packages)
# dbt's generic tests are in folders of that name, and are no tests of dbt.
find "$packages" -type d \( -name tests -o -name test \) -not -path '*/dbt/*' -prune -exec rm -rf {} +
rm -rf "$packages"/pyarrow/include "$packages"/pyarrow/src "$packages"/numpy/*/include \
    "$packages"/pyspark/examples "$packages"/pyspark/data "$packages"/pyspark/licenses
find "$packages"/pyarrow -name '*.so.*' -name '*flight*' -delete
find "$packages" -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.h' \) -delete
# Hive's and MLlib's jars are most of Spark's size, and the platform uses neither. Kubernetes' client stays.
for jar in hive breeze spark-hive spark-mllib spark-graphx spark-ganglia datanucleus derby arpack blas lapack netlib \
    spire algebra cats-kernel pmml; do
    find "$packages"/pyspark/jars -name "$jar*.jar" -delete
done
