"""What goes over the wire, apart from what is stored: the types of requests and answers, with examples."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

MOST_TRACKS = 500
MOST_RECOMMENDED = 500
LONGEST_TEXT = 500
MOST_EVENTS = 500

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_TEXT)]


def _whole(value: Any) -> Any:
    """Return 88 for 88.0, which JSON does not tell apart; true and "88" stay what they are and are refused."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _given(name: str) -> dict[str, Any]:
    """Return the JSON schema of an object that holds ``name``, and not a blank one."""
    return {"required": [name], "properties": {name: {"type": "string", "pattern": "\\S"}}}


class RequestedTrack(BaseModel):
    """A track of the playlist, by its URI, its name, or both. Other fields are let through and not read."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [_given("track_uri"), _given("track_name")],
            "examples": [{"track_name": "Rock Song 0", "artist_name": "Artist 0"}, {"track_uri": "tiny:track:3"}],
        }
    )

    track_uri: Text | None = Field(None, description="The track's URI; decides where the catalogue has it.")
    track_name: Text | None = Field(None, description="The track's name; matched forgivingly, else read as text.")
    artist_name: Text | None = Field(None, description="Its artist's name.")

    @model_validator(mode="after")
    def _named(self) -> "RequestedTrack":
        if not (self.track_uri or self.track_name):
            raise ValueError("a track needs a track_uri or a track_name")
        return self


class PredictRequest(BaseModel):
    """A playlist to continue: its tracks in order, its title, or both."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "anyOf": [{"required": ["tracks"], "properties": {"tracks": {"minItems": 1}}}, _given("name")],
            "examples": [
                {
                    "tracks": [
                        {"track_name": "Rock Song 0", "artist_name": "Artist 0"},
                        {"track_uri": "tiny:track:3"},
                    ],
                    "name": "rock",
                    "k": 3,
                }
            ],
        },
    )

    tracks: list[RequestedTrack] = Field(
        default_factory=list, max_length=MOST_TRACKS, description="The playlist's tracks, in order; may be empty."
    )
    name: Text | None = Field(None, description="The playlist's title; enough alone.")
    k: Annotated[int, BeforeValidator(_whole)] = Field(
        10, ge=1, le=MOST_RECOMMENDED, strict=True, description="How many tracks to recommend."
    )
    diversity: float = Field(
        0,
        ge=0,
        le=1,
        strict=True,
        allow_inf_nan=False,
        description="How much the recommendations share their places among the playlist's moods: 0, by score, to 1.",
    )
    ordered: bool = Field(
        True,
        strict=True,
        description="Whether the tracks stand in the order in which they were added; false for liked songs.",
    )

    @model_validator(mode="after")
    def _something_to_go_by(self) -> "PredictRequest":
        if not (self.tracks or self.name):
            raise ValueError("a playlist needs tracks or a name: send at least one of them")
        return self


class TrackAnswer(BaseModel):
    """A track of the catalogue."""

    track_name: str
    artist_name: str
    track_uri: str


class RecommendedTrack(TrackAnswer):
    """A recommended track; a higher score is a better fit, and scores compare only within one answer."""

    score: float


class MatchedTrack(BaseModel):
    """What became of one requested track."""

    requested: dict[str, str] = Field(description="The track as it was requested.")
    track: TrackAnswer | None = Field(description="The catalogue's track, or null.")
    how: Literal["uri", "name", "text", "none"] = Field(
        description="uri or name: found by it; text: not found, helps by its words; none: not found, ignored."
    )


class ModelName(BaseModel):
    """Which model answered."""

    digest: str = Field(description="The bundle's name: the sha256 of its manifest.")
    version: str | None = Field(description="Its version in the registry, where known.")


class PredictAnswer(BaseModel):
    """The continuation, in the order of the list; fewer than k where the catalogue has no more."""

    impression_id: str = Field(description="The name of this answer, for POST /feedback.")
    recommended_tracks: list[RecommendedTrack]
    matched: list[MatchedTrack]
    model: ModelName


class FeedbackEvent(BaseModel):
    """One thing that a listener did with a track of an answer."""

    model_config = ConfigDict(extra="forbid")

    impression_id: str = Field(
        max_length=200, description="The impression_id of the answer.", examples=["(from an answer of /predict)"]
    )
    # Without control characters: not every database keeps them.
    track_uri: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=LONGEST_TEXT)] = Field(
        description="The track, as the answer named it.", examples=["tiny:track:3"]
    )
    event: Literal["click", "skip", "play", "add"] = Field(description="What the listener did.")


class FeedbackRequest(BaseModel):
    """Events, one or many; many need a key or a token."""

    model_config = ConfigDict(extra="forbid")

    events: list[FeedbackEvent] = Field(min_length=1, max_length=MOST_EVENTS, description="What listeners did.")


class FeedbackAnswer(BaseModel):
    """What is durable now."""

    kept: int = Field(description="Events of this request that are kept, now or since it was sent before.")
    again: bool = Field(description="Whether the request was kept before, under the same Idempotency-Key.")


class TracksAnswer(BaseModel):
    """Tracks of the catalogue, the most popular first."""

    tracks: list[TrackAnswer]


class ModelAnswer(ModelName):
    """What is served, how it was judged and where it comes from."""

    environment: str
    verdict: Literal["pass", "fail", "inconclusive"] | None = Field(description="null while unjudged.")
    reason: str | None = Field(description="The verdict's reason, in one sentence.")
    report: str | None = Field(description="The sha256 of the report that judged it.")
    synthetic: bool = Field(description="Whether it learned from generated playlists.")
    tracks: int = Field(description="Tracks in the catalogue.")
    lineage: dict[str, Any] = Field(description="Dataset, commit, run and seed that it comes from.")


class StatusAnswer(BaseModel):
    """Whether the service is well."""

    status: str


class ProblemError(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str | None = Field(None, description="Where in the body, as a JSON pointer.")
    parameter: str | None = Field(None, description="Which parameter of the query.")
    detail: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[ProblemError] = []
