"""What authentication methods make of a password, without I/O.

The expected bytes were computed by other programs: answers by PyMySQL, the key by OpenSSL.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support import require
from vipproxy.framing.mysql_auth import (
    answer_without_password,
    caching_sha2_answer,
    clear_password,
    encrypted_password,
    native_answer,
)
from vipproxy.framing.rsa import PublicKey, encrypt, parse_public_key

SCRAMBLE = b"ABCDEFGHIJKLMNOPQRST"
BEGIN, END = b"-----BEGIN PUBLIC KEY-----\n", b"\n-----END PUBLIC KEY-----\n"
PUBLIC = (
    BEGIN
    + b"""MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC2VY/UzZJhKv4I0iNnZtFSGWtv
Rn2xxbWJyZeB+Je7hPyde1EtTa9U9AUW4pN7vzHQrrdE+ej6JZ2I3dpbFYjdkHwd
Ny6v0rJ/0twmQBYATMuXr3EQnLjPyEHuLnAXz2sZ5GIFEE5HTW+vSCo6pmL61vYX
wHRnyhvVDJsm9q53nwIDAQAB"""
    + END
)
MODULUS = int(
    "b6558fd4cd92612afe08d2236766d152196b6f467db1c5b589c99781f897bb84fc9d7b512d4daf54f40516e2"
    "937bbf31d0aeb744f9e8fa259d88ddda5b1588dd907c1d372eafd2b27fd2dc264016004ccb97af71109cb8cf"
    "c841ee2e7017cf6b19e46205104e474d6faf482a3aa662fad6f617c07467ca1bd50c9b26f6ae779f",
    16,
)


class AnswerTests(SynchronousTestCase):
    def test_native(self) -> None:
        """mysql_native_password gives the bytes that PyMySQL gives."""
        expected = "28441590674285e7d03cae7af237504797f70e91"
        self.assertEqual(native_answer(b"secret", SCRAMBLE).hex(), expected)

    def test_caching_sha2(self) -> None:
        """caching_sha2_password gives the bytes that PyMySQL gives."""
        expected = "d721e183c1f036a196c1389201b8d53f38064a16f1d0923683ab886763152d75"
        self.assertEqual(caching_sha2_answer(b"secret", SCRAMBLE).hex(), expected)

    def test_no_password(self) -> None:
        """No password is an empty answer."""
        answers = native_answer(b"", SCRAMBLE), caching_sha2_answer(b"", SCRAMBLE)
        self.assertEqual(answers, (b"", b""))

    def test_clear(self) -> None:
        """The password itself ends with a NUL."""
        self.assertEqual(clear_password(b"secret"), b"secret\0")

    def test_wrong_on_purpose(self) -> None:
        """To ed25519 a wrong password has 64 bytes; to other methods, it may be empty."""
        self.assertEqual(answer_without_password(b"\xfeclient_ed25519\0" + SCRAMBLE), bytes(64))
        self.assertEqual(answer_without_password(b"\xfemysql_native_password\0x"), b"")
        self.assertEqual(answer_without_password(b""), b"")


class KeyTests(SynchronousTestCase):
    def test_public_key(self) -> None:
        """A key made by OpenSSL is read, whatever stands around it."""
        for pem in (PUBLIC, b"a comment\n" + PUBLIC + b"\0"):
            self.assertEqual(parse_public_key(pem), PublicKey(MODULUS, 65537))

    def test_size(self) -> None:
        """What is encrypted is as long as the modulus, and different each time."""
        key = parse_public_key(PUBLIC)
        first, second = (encrypted_password(b"secret", SCRAMBLE, key) for _ in range(2))
        self.assertEqual((len(first), len(second)), (128, 128))
        self.assertNotEqual(first, second)

    def test_too_long(self) -> None:
        """A password that does not fit is refused, and so is a missing scramble."""
        key = parse_public_key(PUBLIC)
        self.assertRaises(ValueError, encrypted_password, b"x" * 86, SCRAMBLE, key)
        self.assertRaises(ValueError, encrypted_password, b"x", b"", key)

    def test_openssl_decrypts(self) -> None:
        """OpenSSL decrypts what was encrypted, of every length that fits."""
        openssl = require("openssl")
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        key = f"{directory}/key.pem"
        subprocess.run([openssl, "genrsa", "-out", key, "1024"], check=True, capture_output=True)
        command = [openssl, "rsa", "-in", key, "-pubout"]
        public = parse_public_key(subprocess.run(command, check=True, capture_output=True).stdout)
        decrypt = [openssl, "pkeyutl", "-decrypt", "-inkey", key]
        decrypt += ["-pkeyopt", "rsa_padding_mode:oaep"]
        for message in (b"", b"secret", b"x" * 86):
            encrypted = encrypt(message, public)
            done = subprocess.run(decrypt, input=encrypted, check=True, capture_output=True)
            self.assertEqual(done.stdout, message)

    def test_no_key(self) -> None:
        """Anything else is refused with a sentence."""
        of_another_algorithm = PUBLIC.replace(b"GCSqGSIb3DQEBAQUA", b"GCSqGSIb3DQEBAgUA")
        with_a_tiny_exponent = PUBLIC.replace(b"wIDAQAB", b"wIDAAAB")
        for pem, words in (
            (b"", "not a public key in PEM"),
            (b"-----BEGIN RSA PUBLIC KEY-----\nAAAA\n", "not a public key in PEM"),
            (BEGIN + b"AAAA" + END, "a broken public key"),
            (BEGIN + b"MAA=" + END, "a broken public key"),
            (of_another_algorithm, "not a key for RSA"),
            (with_a_tiny_exponent, "an RSA key of an unusual size"),
        ):
            error = self.assertRaises(ValueError, parse_public_key, pem)
            self.assertEqual(str(error), words)

    @settings(max_examples=200)
    @given(st.binary(max_size=100), st.integers(0, 200), st.integers(0, 255))
    def test_any_bytes(self, data: bytes, place: int, byte: int) -> None:
        """Any bytes are a key, or raise ValueError."""
        changed = bytearray(PUBLIC)
        changed[place] = byte
        for pem in (data, BEGIN + data + END, bytes(changed)):
            try:
                key = parse_public_key(pem)
            except ValueError:
                continue
            self.assertGreaterEqual(key.size, 64)
