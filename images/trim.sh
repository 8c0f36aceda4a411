#!/bin/sh
# Take out of a site-packages folder what a running container never reads: trim.sh FOLDER
#
# Tests, C headers, libraries to link with and Cython sources; of Arrow, the libraries that only talk to a network
# (Flight, S3: steps have none) and second copies of one library; and what only a debugger reads of any library. The
# tests of the containers import what is left.
set -eu
here=$(dirname "$(readlink -f "$0")")
cd "$1"

find . -depth -type d -name tests -exec rm -rf {} +
find . -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.h' -o -name '*.hpp' -o -name '*.a' \) -delete
rm -rf joblib/test
if [ -d pyarrow ]; then
  rm -rf pyarrow/include pyarrow/src
  rm -f pyarrow/libarrow_flight.so* pyarrow/libarrow_python_flight.so* pyarrow/_flight.* pyarrow/flight.py
  rm -f pyarrow/libarrow_s3.so* pyarrow/_s3fs.*
  # The loader asks for libarrow_python.so.<ABI>; a wheel cannot hold links, so it holds the file three times.
  rm -f pyarrow/libarrow_python.so pyarrow/libarrow_python.so.*.*.*
fi
python "$here/strip.py" .
