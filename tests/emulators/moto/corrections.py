"""What moto 5.2.5 does otherwise than AWS, as far as the tests of Holdfast can tell, put right."""

import base64
import copy
import hashlib
import inspect
import io
import json
import threading

import ed25519ph
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from moto.core.exceptions import JsonRESTError
from moto.dynamodb import responses as dynamodb
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models import table as tables
from moto.kms import models as kms_models
from moto.kms import responses as kms
from moto.kms.exceptions import ValidationException
from moto.core.responses import ActionResult
from moto.sqs import models as sqs
from moto.sqs import responses as sqs_responses
from moto.sqs.exceptions import ReceiptHandleIsInvalid

_dynamodb_lock = threading.RLock()


def install():
    """Puts everything right, once, before the first call."""
    _one_dynamodb_request_at_a_time()
    _indexes_can_be_frozen()
    _only_the_newest_receipt_counts()
    _dead_letters_can_be_sent_again()
    _kms_signs_messages()
    _kms_names_the_wrong_key()


def _one_dynamodb_request_at_a_time():
    """moto checks a condition and writes afterwards, with nothing in between to keep two writers apart: updates are lost."""
    call = dynamodb.DynamoHandler.call_action

    def call_action(self):
        with _dynamodb_lock:
            return call(self)

    dynamodb.DynamoHandler.call_action = call_action


_frozen = None


def freeze_indexes(frozen):
    """While this is on, an index answers as it would have before; those of AWS follow a write only a moment later."""
    global _frozen
    with _dynamodb_lock:
        tables = [table for account in dynamodb_backends.values() for backend in account.values() for table in backend.tables.values()]
        _frozen = {table.table_arn: copy.deepcopy(table.items) for table in tables} if frozen else None


def _indexes_can_be_frozen():
    query = tables.Table.query
    meaning = inspect.signature(query)

    def from_the_index(self, *arguments, **named):
        index = meaning.bind(self, *arguments, **named).arguments.get("index_name")
        if index is None or _frozen is None:
            return query(self, *arguments, **named)
        items, self.items = self.items, _frozen[self.table_arn]
        try:
            return query(self, *arguments, **named)
        finally:
            self.items = items

    tables.Table.query = from_the_index


def _only_the_newest_receipt_counts():
    """moto takes every receipt that a message ever had. On AWS the deletion by an old one succeeds and deletes nothing."""

    def delete_message(self, receipt_handle):
        if receipt_handle in self.deleted_messages:
            return
        for message in self._messages:
            if message.receipt_handle == receipt_handle:
                self._messages = [other for other in self._messages if other is not message]
                self.pending_messages.discard(message)
                self.deleted_messages.update(message.all_receipt_handles)
                return
            if message.had_receipt_handle(receipt_handle):
                return
        raise ReceiptHandleIsInvalid()

    change = sqs.SQSBackend.change_message_visibility

    def change_message_visibility(self, queue_name, receipt_handle, visibility_timeout):
        for message in self.get_queue(queue_name)._messages:
            if message.had_receipt_handle(receipt_handle) and message.receipt_handle != receipt_handle:
                return
        change(self, queue_name, receipt_handle, visibility_timeout)

    sqs.Queue.delete_message = delete_message
    sqs.SQSBackend.change_message_visibility = change_message_visibility


def _dead_letters_can_be_sent_again():
    """moto does not know the operation by which a person sends dead letters back to their queue."""

    def start_message_move_task(self):
        source, destination = (self._get_param(name) for name in ("SourceArn", "DestinationArn"))
        backend = self.sqs_backend
        source, destination = (backend.get_queue(arn.split(":")[-1]) for arn in (source, destination))
        messages, source._messages = source._messages, []
        for message in messages:
            backend.send_message(destination.name, message.body)
        return ActionResult({"TaskHandle": source.name})

    sqs_responses.SQSResponse.start_message_move_task = start_message_move_task


class _Refused(JsonRESTError):
    """A refusal by its code."""

    code = 400

    def __init__(self, code, message):
        super().__init__(code, message)


class _Ed25519Key:
    """A key that moto does not know."""

    def __init__(self):
        self.private_key = ed25519.Ed25519PrivateKey.generate()

    def public_key(self):
        return self.private_key.public_key().public_bytes(
            encoding=serialization.Encoding.DER, format=serialization.PublicFormat.SubjectPublicKeyInfo
        )


def _kms_signs_messages():
    """moto hashes a digest once more, takes messages of any length, and knows no Ed25519."""
    generate = kms_models.generate_private_key
    algorithms = kms_models.Key.signing_algorithms
    public = kms.KmsResponse.get_public_key

    def generate_private_key(key_spec):
        return _Ed25519Key() if key_spec == "ECC_NIST_EDWARDS25519" else generate(key_spec)

    def signing_algorithms(self):
        if self.key_spec == "ECC_NIST_EDWARDS25519":
            return ["ED25519_SHA_512", "ED25519_PH_SHA_512"]
        return algorithms.fget(self)

    def get_public_key(self):
        answer = json.loads(public(self))
        answer["KeySpec"] = answer["CustomerMasterKeySpec"]
        return json.dumps(answer)

    def request(self):
        """The key, the message and the algorithm that are asked for, as far as KMS would accept them."""
        key_id = self._get_param("KeyId")
        self._validate_key_id(key_id)
        key = self.kms_backend.describe_key(key_id)
        algorithm = self._get_param("SigningAlgorithm")
        message = self._get_param("Message")
        is_digest = self._get_param("MessageType") == "DIGEST"
        if key.key_usage != "SIGN_VERIFY" or algorithm not in key.signing_algorithms:
            raise _Refused("InvalidKeyUsageException", f"{key.arn} does not sign with {algorithm}")
        if not 1 <= len(message) <= 4096:
            raise ValidationException("Value at 'message' failed to satisfy constraint: length between 1 and 4096")
        if is_digest != (algorithm == "ED25519_PH_SHA_512") and algorithm.startswith("ED25519"):
            raise ValidationException(f"{algorithm} does not take this MessageType")
        length = {"ECDSA_SHA_256": 32, "ED25519_PH_SHA_512": 64}.get(algorithm)
        if is_digest and len(message) != length:
            raise ValidationException(f"Digest is invalid length for algorithm {algorithm}.")
        return key, message, algorithm, is_digest

    def way(is_digest):
        return ec.ECDSA(utils.Prehashed(hashes.SHA256()) if is_digest else hashes.SHA256())

    def sign(self):
        key, message, algorithm, is_digest = request(self)
        private = key.private_key.private_key
        if algorithm == "ED25519_PH_SHA_512":
            signature = ed25519ph.sign(private.private_bytes_raw(), message)
        elif algorithm == "ED25519_SHA_512":
            signature = private.sign(message)
        else:
            signature = private.sign(message, way(is_digest))
        text = base64.b64encode(signature).decode()
        return json.dumps({"KeyId": key.arn, "Signature": text, "SigningAlgorithm": algorithm})

    def verify(self):
        key, message, algorithm, is_digest = request(self)
        public = key.private_key.private_key.public_key()
        signature = base64.b64decode(self._get_param("Signature"))
        try:
            if algorithm == "ED25519_PH_SHA_512":
                # A signature is the same each time, so that making it again shows whether this is one.
                if ed25519ph.sign(key.private_key.private_key.private_bytes_raw(), message) != signature:
                    raise InvalidSignature()
            elif algorithm == "ED25519_SHA_512":
                public.verify(signature, message)
            else:
                public.verify(signature, message, way(is_digest))
        except InvalidSignature:
            raise _Refused("KMSInvalidSignatureException", "") from None
        return json.dumps({"KeyId": key.arn, "SignatureValid": True, "SigningAlgorithm": algorithm})

    specs = sorted([*kms_models.KeySpec.key_specs(), "ECC_NIST_EDWARDS25519"])
    kms_models.KeySpec.key_specs = classmethod(lambda cls: specs)
    kms_models.generate_private_key = generate_private_key
    kms_models.Key.signing_algorithms = property(signing_algorithms)
    kms.KmsResponse.get_public_key = get_public_key
    kms.KmsResponse.sign = sign
    kms.KmsResponse.verify = verify


def _kms_names_the_wrong_key():
    """moto denies access where KMS says that the ciphertext is of another key."""
    decrypt = kms_models.KmsBackend.decrypt

    def checked(self, ciphertext_blob, encryption_context, key_id=None):
        plain, arn = decrypt(self, ciphertext_blob, encryption_context)
        if key_id is not None and self.keys[self.any_id_to_key_id(key_id)].arn != arn:
            raise _Refused("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
        return plain, arn

    kms_models.KmsBackend.decrypt = checked


def refuse(environ):
    """The refusal of a request whose body is not what its checksum says; moto takes every checksum as right.

    A right one is marked for moto to keep, which it does only for clients that name the algorithm too.
    """
    told = environ.get("HTTP_X_AMZ_CHECKSUM_SHA256")
    streamed = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "").startswith("STREAMING")
    if told is None or environ["REQUEST_METHOD"] != "PUT" or streamed:
        return None
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    if base64.b64encode(hashlib.sha256(body).digest()).decode() != told:
        message = "<Error><Code>BadDigest</Code><Message>The SHA256 you specified did not match.</Message></Error>"
        return "400 Bad Request", message.encode()
    environ["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"] = "SHA256"
    return None
