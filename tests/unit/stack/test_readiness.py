"""The hand-made request to Spark Connect is what Spark's own generated classes would send."""

import uuid

from music_platform.stack import readiness


def test_the_request_is_spark_s_own() -> None:
    from pyspark.sql.connect.proto import base_pb2

    session, user = str(uuid.uuid4()), "music-platform"
    context = base_pb2.UserContext(user_id=user)
    version = base_pb2.AnalyzePlanRequest.SparkVersion()
    analyze = base_pb2.AnalyzePlanRequest(session_id=session, user_context=context, spark_version=version)
    release = base_pb2.ReleaseSessionRequest(session_id=session, user_context=context)

    head = readiness._string(1, session) + readiness._message(2, readiness._string(1, user))
    assert base_pb2.AnalyzePlanRequest.FromString(head + readiness._message(10, b"")) == analyze
    assert base_pb2.ReleaseSessionRequest.FromString(head) == release
