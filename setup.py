"""What setup.cfg cannot say: the compiled module. Everything else stands there."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "vipproxy.native._engine",
            sources=sorted(glob("vipproxy/native/*.c")),
            depends=sorted(glob("vipproxy/native/*.h")),
            extra_compile_args=["-std=c11", "-O2", "-pthread", "-Wall", "-Wextra"],
            extra_link_args=["-pthread"],
            optional=True,  # without a compiler the Twisted engine does the same work
        )
    ]
)
