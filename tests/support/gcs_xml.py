"""Google's XML interface in front of fake-gcs-server, which has only the JSON one for writing.

delta-rs writes through the XML interface (https://cloud.google.com/storage/docs/xml-api/overview); Hadoop's and Arrow's
clients use the JSON one. Here a request to write or list by XML becomes the JSON request that does the same, conditions
included, so the server behind decides who was first. Every other request is passed on as it is.
"""

import sys
import threading
import uuid
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from music_platform.settings import LOOPBACK

METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"]
#: First parts of the paths of the JSON interface.
JSON_PATHS = ("storage", "upload", "download", "batch", "_internal", "resumable")
#: Headers that concern one connection.
OF_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}


@dataclass
class XmlInterface:
    """Answers requests; `server` is the address of fake-gcs-server."""

    server: str
    #: Parts of unfinished uploads: upload → number → content.
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    _own: threading.local = field(default_factory=threading.local)

    async def answer(self, request: Request) -> Response:
        """The answer to any request."""
        body = await request.body()
        return await run_in_threadpool(self._answer, request, body)

    def _answer(self, request: Request, body: bytes) -> Response:
        # As it was sent: a slash in a name is escaped in the JSON interface.
        bucket, _, name = request.scope["raw_path"].decode().lstrip("/").partition("/")
        query, method = request.query_params, request.method
        if bucket in JSON_PATHS:
            return self._passed_on(request, body)
        if not name:
            return self._list(bucket, dict(query))
        name = requests.utils.unquote(name)
        if method == "POST" and "uploads" in query:
            upload = uuid.uuid4().hex
            self.uploads[upload] = {}
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        if method == "PUT" and "uploadId" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = body
            return Response(headers={"etag": f'"{query["partNumber"]}"'})
        if method == "POST" and "uploadId" in query:
            parts = self.uploads.pop(query["uploadId"])
            numbers = [int(number.text or "") for number in ElementTree.fromstring(body).iter("PartNumber")]
            written = self._write(bucket, name, b"".join(parts[number] for number in numbers), request)
            etag, version = written.headers["etag"], written.headers["x-goog-generation"]
            return _xml("CompleteMultipartUploadResult", f"<ETag>{etag}</ETag>", {"x-goog-generation": version})
        if method == "DELETE" and "uploadId" in query:
            self.uploads.pop(query["uploadId"], None)
            return Response(status_code=204)
        if method == "PUT":
            return self._write(bucket, name, body, request)
        return self._passed_on(request, body)

    @property
    def _http(self) -> requests.Session:
        """A session of this thread's own."""
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
        session: requests.Session = self._own.session
        return session

    def _write(self, bucket: str, name: str, content: bytes, request: Request) -> Response:
        parameters = {"uploadType": "media", "name": name}
        if condition := request.headers.get("x-goog-if-generation-match"):
            parameters["ifGenerationMatch"] = condition
        done = self._http.post(f"{self.server}/upload/storage/v1/b/{bucket}/o", params=parameters, data=content)
        if not done.ok:
            return Response(done.content, done.status_code)
        written = done.json()
        return Response(headers={"etag": f'"{written["etag"]}"', "x-goog-generation": written["generation"]})

    def _list(self, bucket: str, query: dict[str, str]) -> Response:
        names = {"prefix": "prefix", "delimiter": "delimiter", "continuation-token": "pageToken"}
        wanted = {names[key]: value for key, value in query.items() if key in names}
        after = query.get("start-after", "")
        done = self._http.get(f"{self.server}/storage/v1/b/{bucket}/o", params=wanted | {"startOffset": after})
        if not done.ok:
            return Response(done.content, done.status_code)
        found = done.json()
        parts = [
            f"<Contents><Key>{escape(item['name'])}</Key><Size>{item['size']}</Size><ETag>{item['etag']}</ETag>"
            f"<LastModified>{item['updated']}</LastModified></Contents>"
            for item in found.get("items", [])
            if item["name"] > after
        ]
        parts += [
            f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>"
            for prefix in found.get("prefixes", [])
        ]
        if token := found.get("nextPageToken"):
            parts.append(f"<NextContinuationToken>{escape(token)}</NextContinuationToken>")
        return _xml("ListBucketResult", "".join(parts))

    def _passed_on(self, request: Request, body: bytes) -> Response:
        path, query = request.scope["raw_path"].decode(), request.scope["query_string"].decode()
        done = self._http.request(
            request.method,
            f"{self.server}{path}{f'?{query}' if query else ''}",
            headers={name: value for name, value in request.headers.items() if name not in OF_A_CONNECTION},
            data=body,
            stream=True,
            allow_redirects=False,
        )
        # As it was sent, compressed or not.
        content = done.raw.read(decode_content=False)
        kept = {name: value for name, value in done.headers.items() if name.lower() not in OF_A_CONNECTION}
        if request.method == "HEAD":
            kept["content-length"] = done.headers.get("content-length", "0")
        return Response(content, done.status_code, kept)


def _xml(kind: str, content: str, headers: dict[str, str] | None = None) -> Response:
    return Response(f"<{kind}>{content}</{kind}>", media_type="application/xml", headers=headers)


def main(server: str, port: int) -> None:
    """Stand in front of a server, at a port. A process of its own: some clients hold Python's lock while they wait."""
    routes = [Route("/{path:path}", XmlInterface(server).answer, methods=METHODS)]
    uvicorn.run(Starlette(routes=routes), host=LOOPBACK, port=port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
