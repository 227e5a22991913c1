# Zips a program as `bootstrap`, executable, with no time of its own: python3 -c ... PROGRAM ZIP
import sys
import zipfile

program, archive = sys.argv[1:]
entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
entry.create_system = 3
entry.external_attr = 0o100755 << 16
entry.compress_type = zipfile.ZIP_DEFLATED
with open(program, "rb") as file, zipfile.ZipFile(archive, "w") as zipped:
    zipped.writestr(entry, file.read(), compresslevel=9)
