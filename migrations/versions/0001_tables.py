"""The tables of schema `syncer`, the clock, and the vendor's documented words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# The one place where the time is read. A function, so that a test can set it back and forth.
CLOCK = """
create function syncer.clock() returns timestamptz language sql volatile parallel safe
begin atomic
    select clock_timestamp();
end
"""
FUNCTION_COMMENTS = {"syncer.clock()": "The time that everything is recorded by"}

# The vendor's documented words, and the one that another of its pages has (inactive).
WORDS = {
    "number_type": [
        ("def", "Mobile", "мобильный"),
        ("abc", "Landline", "городской"),
        ("toll_free", "Toll-free 8-800", "8-800"),
        ("sip_registration", "SIP registration", "SIP-регистрация"),
        ("sip_redirection", "SIP redirection", "SIP-переадресация"),
    ],
    "number_purpose": [
        ("company", "Company", "компания"),
        ("employee", "Employee", "сотрудник"),
        ("not_specified", "Not specified", "не указано"),
    ],
    "number_state": [
        ("active", "Active", "активен"),
        ("activation", "Being activated", "активация"),
        ("debt_lock", "Locked for debt", "блокировка за долг"),
        ("unconfirmed", "Unconfirmed", "не подтверждён"),
        ("freeze", "Frozen", "заморожен"),
        ("inactive", "Inactive", "неактивен"),
    ],
}
# In the order in which they can be dropped.
TABLES = (
    "virtual_number_redirect",
    "state_history",
    "virtual_number_history",
    "record_digest",
    "virtual_number",
    "rejected_record",
    "sync_day",
    "sync_run",
    "account_schedule",
    "account",
    "region",
    "number_state",
    "number_purpose",
    "number_type",
)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("account_id", sa.Integer(), sa.Identity(always=True), nullable=False, comment="Identifier made here"),
        sa.Column("name", sa.Text(), nullable=False, comment="The name the configuration gives the account"),
        sa.Column(
            "app_id",
            sa.BigInteger(),
            nullable=True,
            comment="The Личный кабинет: what most records of the first success carried",
        ),
        sa.Column(
            "time_zone", sa.Text(), nullable=False, comment="Time zone of the account's days, as in the IANA database"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was first polled",
        ),
        sa.Column(
            "success_run_id",
            sa.BigInteger(),
            nullable=True,
            comment="The newest run that succeeded; an older one may change nothing",
        ),
        sa.Column(
            "success_started_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When that run began: what it did not see happened after this",
        ),
        sa.Column(
            "observed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The moment that the newest success was written under; it never goes back",
        ),
        sa.Column(
            "applied_run_id",
            sa.BigInteger(),
            nullable=True,
            comment="The newest run that was applied; its rejected records stand",
        ),
        sa.Column(
            "standing_run_id", sa.BigInteger(), nullable=True, comment="The run that last changed which digests stand"
        ),
        sa.Column(
            "body_digest",
            sa.LargeBinary(),
            nullable=True,
            comment="Of the response that stands as a whole; null while removals are held",
        ),
        sa.Column("decoder_version", sa.SmallInteger(), nullable=True, comment="The decoder that read that response"),
        sa.PrimaryKeyConstraint("account_id", name=op.f("account_pkey")),
        sa.UniqueConstraint("name", name=op.f("account_name_key")),
        schema="syncer",
        comment="One row per configured account, and what its newest successful poll left for the next one",
    )
    op.create_table(
        "number_purpose",
        sa.Column("purpose", sa.Text(), nullable=False, comment="The vendor's word for the purpose"),
        sa.Column(
            "title_en", sa.Text(), nullable=True, comment="English title; null for a word the vendor does not document"
        ),
        sa.Column(
            "title_ru", sa.Text(), nullable=True, comment="Russian title; null for a word the vendor does not document"
        ),
        sa.Column(
            "documented", sa.Boolean(), nullable=False, comment="False for a word that was seen but is not documented"
        ),
        sa.PrimaryKeyConstraint("purpose", name=op.f("number_purpose_pkey")),
        schema="syncer",
        comment="The vendor's words for the purpose of a number, and those seen beyond them",
    )
    op.create_table(
        "number_state",
        sa.Column("state", sa.Text(), nullable=False, comment="The vendor's word for the state"),
        sa.Column(
            "title_en", sa.Text(), nullable=True, comment="English title; null for a word the vendor does not document"
        ),
        sa.Column(
            "title_ru", sa.Text(), nullable=True, comment="Russian title; null for a word the vendor does not document"
        ),
        sa.Column(
            "documented", sa.Boolean(), nullable=False, comment="False for a word that was seen but is not documented"
        ),
        sa.PrimaryKeyConstraint("state", name=op.f("number_state_pkey")),
        schema="syncer",
        comment="The vendor's words for the state of a number, and those seen beyond them",
    )
    op.create_table(
        "number_type",
        sa.Column("type", sa.Text(), nullable=False, comment="The vendor's word for the type"),
        sa.Column(
            "title_en", sa.Text(), nullable=True, comment="English title; null for a word the vendor does not document"
        ),
        sa.Column(
            "title_ru", sa.Text(), nullable=True, comment="Russian title; null for a word the vendor does not document"
        ),
        sa.Column(
            "documented", sa.Boolean(), nullable=False, comment="False for a word that was seen but is not documented"
        ),
        sa.PrimaryKeyConstraint("type", name=op.f("number_type_pkey")),
        schema="syncer",
        comment="The vendor's words for the type of a number, and those seen beyond them",
    )
    op.create_table(
        "record_digest",
        sa.Column("account_id", sa.Integer(), autoincrement=False, nullable=False, comment="The account"),
        sa.Column(
            "virtual_number_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The endpoint's id"
        ),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="XXH3 of the bytes that the current record was read from",
        ),
        sa.Column("decoder_version", sa.SmallInteger(), nullable=False, comment="The decoder that read them"),
        sa.PrimaryKeyConstraint("account_id", "virtual_number_id", name=op.f("record_digest_pkey")),
        schema="syncer",
        comment="A cache: bytes that need not be decoded again. Its rows may be deleted at any time",
    )
    op.create_table(
        "region",
        sa.Column("region_id", sa.Integer(), sa.Identity(always=True), nullable=False, comment="Identifier made here"),
        sa.Column("name", sa.Text(), nullable=False, comment="The vendor's region_name"),
        sa.PrimaryKeyConstraint("region_id", name=op.f("region_pkey")),
        sa.UniqueConstraint("name", name=op.f("region_name_key")),
        schema="syncer",
        comment="The regions that numbers belong to, spelled as the vendor does",
    )
    op.create_table(
        "account_schedule",
        sa.Column("account_id", sa.Integer(), nullable=False, comment="The account"),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), nullable=False, comment="When the account is to be polled next"
        ),
        sa.Column("lease_holder", sa.Text(), nullable=True, comment="The process that polls it now"),
        sa.Column(
            "lease_until", sa.DateTime(timezone=True), nullable=True, comment="When another process may take it over"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["syncer.account.account_id"], name=op.f("account_schedule_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("account_schedule_pkey")),
        schema="syncer",
        comment="When each account is polled next, and by whom it is being polled",
    )
    op.create_table(
        "rejected_record",
        sa.Column("account_id", sa.Integer(), nullable=False, comment="The account"),
        sa.Column("rejected_record_id", sa.Uuid(), nullable=False, comment="XXH3 of the bytes as received"),
        sa.Column(
            "virtual_number_id", sa.BigInteger(), nullable=True, comment="The element's id, where it can be read"
        ),
        sa.Column("error", sa.Text(), nullable=False, comment="Why it could not be taken"),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="The bytes as received, the first 64 KiB"),
        sa.Column("first_run_id", sa.BigInteger(), nullable=False, comment="The run that received it first"),
        sa.Column("last_run_id", sa.BigInteger(), nullable=False, comment="The last applied run that received it"),
        sa.Column("occurrences", sa.Integer(), nullable=False, comment="Applied runs that received it"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["syncer.account.account_id"], name=op.f("rejected_record_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", "rejected_record_id", name=op.f("rejected_record_pkey")),
        schema="syncer",
        comment="Elements of responses that could not be taken, once per distinct content",
    )
    op.create_index(
        "rejected_record_last_run_id_idx",
        "rejected_record",
        ["account_id", "last_run_id"],
        unique=False,
        schema="syncer",
    )
    op.create_table(
        "sync_day",
        sa.Column("account_id", sa.Integer(), nullable=False, comment="The account"),
        sa.Column("day", sa.Date(), nullable=False, comment="Day in the account's time zone"),
        sa.Column("polls", sa.Integer(), nullable=False, comment="Polls of that day whose runs were pruned"),
        sa.Column("failed", sa.Integer(), nullable=False, comment="Those of them that failed"),
        sa.Column(
            "longest_gap_seconds",
            sa.Numeric(),
            nullable=False,
            comment="Longest time without a successful poll, in seconds",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["syncer.account.account_id"], name=op.f("sync_day_account_id_fkey")),
        sa.PrimaryKeyConstraint("account_id", "day", name=op.f("sync_day_pkey")),
        schema="syncer",
        comment="What pruned runs add up to, so that it stays known whether anyone was looking",
    )
    op.create_table(
        "sync_run",
        sa.Column("account_id", sa.Integer(), nullable=False, comment="The account"),
        sa.Column(
            "run_id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows in the order runs began"
        ),
        sa.Column(
            "trigger", sa.Text(), nullable=False, comment="schedule, command, or accept_removals: an operator's word"
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, comment="Before the request was sent"),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the outcome was known; null while running",
        ),
        sa.Column(
            "outcome", sa.Text(), nullable=False, comment="running, applied, unchanged, failed, superseded or abandoned"
        ),
        sa.Column("error_kind", sa.Text(), nullable=True, comment="What kind of failure; null unless failed"),
        sa.Column(
            "error", sa.Text(), nullable=True, comment="What went wrong and what to do, in one line; null unless failed"
        ),
        sa.Column(
            "http_status", sa.Integer(), nullable=True, comment="The endpoint's last answer; null if it did not answer"
        ),
        sa.Column("response_bytes", sa.BigInteger(), nullable=True, comment="Size of the decoded body, in bytes"),
        sa.Column("received", sa.Integer(), nullable=True, comment="Elements of the response"),
        sa.Column(
            "created", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="Numbers never seen before"
        ),
        sa.Column(
            "changed",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Numbers in which anything differed, redirects included",
        ),
        sa.Column(
            "unchanged",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Numbers that were as before",
        ),
        sa.Column(
            "removed",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Numbers whose removal was applied",
        ),
        sa.Column(
            "restored",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Removed numbers that were listed again",
        ),
        sa.Column(
            "held",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Numbers whose removal was held after this run",
        ),
        sa.Column(
            "rejected",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Elements that could not be taken",
        ),
        sa.Column(
            "state_changes",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Changes of state or reason, but for created and restored numbers",
        ),
        sa.Column(
            "redirects_opened",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Redirects first listed, those of created and restored numbers included",
        ),
        sa.Column(
            "redirects_closed",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Redirects no longer listed, those of removed numbers included",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["syncer.account.account_id"], name=op.f("sync_run_account_id_fkey")),
        sa.PrimaryKeyConstraint("account_id", "run_id", name=op.f("sync_run_pkey")),
        schema="syncer",
        comment="One row per poll, failed ones included",
    )
    op.create_index(
        "sync_run_running_idx",
        "sync_run",
        ["account_id", "run_id"],
        unique=False,
        schema="syncer",
        postgresql_where=sa.text("outcome = 'running'"),
    )
    op.create_index("sync_run_started_at_idx", "sync_run", ["account_id", "started_at"], unique=False, schema="syncer")
    op.create_table(
        "virtual_number",
        sa.Column("account_id", sa.Integer(), nullable=False, comment="The account"),
        sa.Column(
            "virtual_number_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The endpoint's id"
        ),
        sa.Column(
            "number",
            sa.Text(),
            nullable=False,
            comment="The phone number as the vendor writes it, digits without a plus",
        ),
        sa.Column("comment", sa.Text(), nullable=True, comment="The account's own note on the number"),
        sa.Column("type", sa.Text(), nullable=True, comment="Kind of number: def is mobile, abc is landline"),
        sa.Column("purpose", sa.Text(), nullable=True, comment="Whom the number serves: the company or an employee"),
        sa.Column("state", sa.Text(), nullable=False, comment="State of the number, the vendor's word"),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="Reason of the last change of state, the vendor's free text"
        ),
        sa.Column("scenario_id", sa.BigInteger(), nullable=True, comment="Incoming-call scenario tied to the number"),
        sa.Column(
            "group_scenario_id", sa.BigInteger(), nullable=True, comment="Incoming-call scenario of the number's group"
        ),
        sa.Column("group_id", sa.BigInteger(), nullable=True, comment="Group of numbers for incoming-call scenarios"),
        sa.Column(
            "is_scenario_active", sa.Boolean(), nullable=True, comment="Whether the incoming-call scenario is active"
        ),
        sa.Column(
            "is_group_scenario_active",
            sa.Boolean(),
            nullable=True,
            comment="Whether the group's incoming-call scenario is active",
        ),
        sa.Column("employee_id", sa.BigInteger(), nullable=True, comment="Employee the number is assigned to"),
        sa.Column("dgn_number", sa.Text(), nullable=True, comment="ДГН: the landline number paired with a mobile one"),
        sa.Column("redirect_number", sa.Text(), nullable=True, comment="The number that calls are redirected to"),
        sa.Column("region_id", sa.Integer(), nullable=True, comment="Region the number belongs to"),
        sa.Column("app_id", sa.BigInteger(), nullable=True, comment="Личный кабинет the record says it belongs to"),
        sa.Column(
            "nc_type", sa.Text(), nullable=True, comment="Vendor's nc_type, undocumented; seen: custom, custom+fmc"
        ),
        sa.Column("sip_uri", sa.Text(), nullable=True, comment="SIP URI of a number of type sip_redirection"),
        sa.Column(
            "extra",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="The latest fields that have no column; replaced as a whole, not versioned",
        ),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), nullable=False, comment="When the number was first seen"
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When this version of the record was first seen",
        ),
        sa.Column(
            "changed_after",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The change came after this; null if the first successful poll found it so",
        ),
        sa.Column(
            "last_read_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Null while each successful poll reads the record; else the start of the last one that did",
        ),
        sa.Column(
            "missing_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The first of the unbroken row of successful polls that did not list it",
        ),
        sa.Column(
            "removed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Null until the removal is applied, then equal to missing_since",
        ),
        sa.Column("run_id", sa.BigInteger(), nullable=False, comment="The run that saw this version first"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["syncer.account.account_id"], name=op.f("virtual_number_account_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["purpose"], ["syncer.number_purpose.purpose"], name=op.f("virtual_number_purpose_fkey")
        ),
        sa.ForeignKeyConstraint(["region_id"], ["syncer.region.region_id"], name=op.f("virtual_number_region_id_fkey")),
        sa.ForeignKeyConstraint(["state"], ["syncer.number_state.state"], name=op.f("virtual_number_state_fkey")),
        sa.ForeignKeyConstraint(["type"], ["syncer.number_type.type"], name=op.f("virtual_number_type_fkey")),
        sa.PrimaryKeyConstraint("account_id", "virtual_number_id", name=op.f("virtual_number_pkey")),
        schema="syncer",
        comment="The latest known record of every number ever seen",
    )
    op.create_index("virtual_number_number_idx", "virtual_number", ["number"], unique=False, schema="syncer")
    op.create_index(
        "virtual_number_removed_idx",
        "virtual_number",
        ["account_id", "removed_at"],
        unique=False,
        schema="syncer",
        postgresql_where=sa.text("removed_at is not null"),
    )
    op.create_index(
        "virtual_number_unread_idx",
        "virtual_number",
        ["account_id"],
        unique=False,
        schema="syncer",
        postgresql_where=sa.text("last_read_at is not null and removed_at is null"),
    )
    op.create_table(
        "state_history",
        sa.Column("account_id", sa.Integer(), nullable=False, comment="The account"),
        sa.Column(
            "virtual_number_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The endpoint's id"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="State of the number, the vendor's word"),
        sa.Column("reason", sa.Text(), nullable=True, comment="Reason, the vendor's free text"),
        sa.Column(
            "valid_from",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was first seen; start of the period, inclusive",
        ),
        sa.Column(
            "valid_to",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="End of the period, exclusive; null while it is open",
        ),
        sa.Column(
            "changed_after",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="It began after this; null if the first successful poll found it so",
        ),
        sa.Column(
            "closed_after",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="It ended after this; null while it is open",
        ),
        sa.Column("run_id", sa.BigInteger(), nullable=False, comment="The run that opened the row"),
        sa.Column(
            "closed_run_id",
            sa.BigInteger(),
            nullable=True,
            comment="The run that closed the row; null while it is open",
        ),
        sa.CheckConstraint(
            "(valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null)",
            name=op.f("state_history_closing_check"),
        ),
        sa.CheckConstraint("valid_from < valid_to", name=op.f("state_history_period_check")),
        sa.ForeignKeyConstraint(
            ["account_id", "virtual_number_id"],
            ["syncer.virtual_number.account_id", "syncer.virtual_number.virtual_number_id"],
            name=op.f("state_history_account_id_virtual_number_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("account_id", "virtual_number_id", "valid_from", name=op.f("state_history_pkey")),
        schema="syncer",
        comment="A row for each period in which a number had one state and one reason",
    )
    op.create_index(
        "state_history_open_idx",
        "state_history",
        ["account_id", "virtual_number_id"],
        unique=True,
        schema="syncer",
        postgresql_where=sa.text("valid_to is null"),
    )
    op.create_table(
        "virtual_number_history",
        sa.Column("account_id", sa.Integer(), nullable=False, comment="The account"),
        sa.Column(
            "virtual_number_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The endpoint's id"
        ),
        sa.Column(
            "number",
            sa.Text(),
            nullable=False,
            comment="The phone number as the vendor writes it, digits without a plus",
        ),
        sa.Column("comment", sa.Text(), nullable=True, comment="The account's own note on the number"),
        sa.Column("type", sa.Text(), nullable=True, comment="Kind of number: def is mobile, abc is landline"),
        sa.Column("purpose", sa.Text(), nullable=True, comment="Whom the number serves: the company or an employee"),
        sa.Column("state", sa.Text(), nullable=False, comment="State of the number, the vendor's word"),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="Reason of the last change of state, the vendor's free text"
        ),
        sa.Column("scenario_id", sa.BigInteger(), nullable=True, comment="Incoming-call scenario tied to the number"),
        sa.Column(
            "group_scenario_id", sa.BigInteger(), nullable=True, comment="Incoming-call scenario of the number's group"
        ),
        sa.Column("group_id", sa.BigInteger(), nullable=True, comment="Group of numbers for incoming-call scenarios"),
        sa.Column(
            "is_scenario_active", sa.Boolean(), nullable=True, comment="Whether the incoming-call scenario is active"
        ),
        sa.Column(
            "is_group_scenario_active",
            sa.Boolean(),
            nullable=True,
            comment="Whether the group's incoming-call scenario is active",
        ),
        sa.Column("employee_id", sa.BigInteger(), nullable=True, comment="Employee the number is assigned to"),
        sa.Column("dgn_number", sa.Text(), nullable=True, comment="ДГН: the landline number paired with a mobile one"),
        sa.Column("redirect_number", sa.Text(), nullable=True, comment="The number that calls are redirected to"),
        sa.Column("region_id", sa.Integer(), nullable=True, comment="Region the number belongs to"),
        sa.Column("app_id", sa.BigInteger(), nullable=True, comment="Личный кабинет the record says it belongs to"),
        sa.Column(
            "nc_type", sa.Text(), nullable=True, comment="Vendor's nc_type, undocumented; seen: custom, custom+fmc"
        ),
        sa.Column("sip_uri", sa.Text(), nullable=True, comment="SIP URI of a number of type sip_redirection"),
        sa.Column(
            "valid_from",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was first seen; start of the period, inclusive",
        ),
        sa.Column(
            "valid_to",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="End of the period, exclusive; null while it is open",
        ),
        sa.Column(
            "changed_after",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="It began after this; null if the first successful poll found it so",
        ),
        sa.Column(
            "closed_after",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="It ended after this; null while it is open",
        ),
        sa.Column("run_id", sa.BigInteger(), nullable=False, comment="The run that opened the row"),
        sa.Column(
            "closed_run_id",
            sa.BigInteger(),
            nullable=True,
            comment="The run that closed the row; null while it is open",
        ),
        sa.CheckConstraint(
            "(valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null)",
            name=op.f("virtual_number_history_closing_check"),
        ),
        sa.CheckConstraint("valid_from < valid_to", name=op.f("virtual_number_history_period_check")),
        sa.ForeignKeyConstraint(
            ["account_id", "virtual_number_id"],
            ["syncer.virtual_number.account_id", "syncer.virtual_number.virtual_number_id"],
            name=op.f("virtual_number_history_account_id_virtual_number_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "account_id", "virtual_number_id", "valid_from", name=op.f("virtual_number_history_pkey")
        ),
        schema="syncer",
        comment="Superseded versions of the record: a row each time a column changed, or a removed number returned",
    )
    op.create_table(
        "virtual_number_redirect",
        sa.Column("account_id", sa.Integer(), nullable=False, comment="The account"),
        sa.Column(
            "virtual_number_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The endpoint's id"
        ),
        sa.Column(
            "redirect_number_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="id in from_redirect_numbers",
        ),
        sa.Column(
            "number", sa.Text(), nullable=False, comment="The number whose calls come here, as the vendor writes it"
        ),
        sa.Column(
            "valid_from",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was first seen; start of the period, inclusive",
        ),
        sa.Column(
            "valid_to",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="End of the period, exclusive; null while it is open",
        ),
        sa.Column(
            "changed_after",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="It began after this; null if the first successful poll found it so",
        ),
        sa.Column(
            "closed_after",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="It ended after this; null while it is open",
        ),
        sa.Column("run_id", sa.BigInteger(), nullable=False, comment="The run that opened the row"),
        sa.Column(
            "closed_run_id",
            sa.BigInteger(),
            nullable=True,
            comment="The run that closed the row; null while it is open",
        ),
        sa.CheckConstraint(
            "(valid_to is null) = (closed_run_id is null) and (valid_to is null) = (closed_after is null)",
            name=op.f("virtual_number_redirect_closing_check"),
        ),
        sa.CheckConstraint("valid_from < valid_to", name=op.f("virtual_number_redirect_period_check")),
        sa.ForeignKeyConstraint(
            ["account_id", "virtual_number_id"],
            ["syncer.virtual_number.account_id", "syncer.virtual_number.virtual_number_id"],
            name=op.f("virtual_number_redirect_account_id_virtual_number_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "account_id",
            "virtual_number_id",
            "redirect_number_id",
            "number",
            "valid_from",
            name=op.f("virtual_number_redirect_pkey"),
        ),
        schema="syncer",
        comment="A row for each period in which a number listed this id with this number in from_redirect_numbers",
    )
    op.create_index(
        "virtual_number_redirect_open_idx",
        "virtual_number_redirect",
        ["account_id", "virtual_number_id", "redirect_number_id", "number"],
        unique=True,
        schema="syncer",
        postgresql_where=sa.text("valid_to is null"),
    )

    op.execute(CLOCK)
    for name, comment in FUNCTION_COMMENTS.items():
        op.execute(f"comment on function {name} is '{comment}'")
    op.execute("comment on table syncer.alembic_version is 'Which migration the schema is at'")
    op.execute("comment on column syncer.alembic_version.version_num is 'Revision of the newest migration applied'")
    op.execute("comment on schema syncer is 'History of MegaFon cloud PBX virtual numbers: tables'")
    for table, words in WORDS.items():
        column = table.removeprefix("number_")
        op.bulk_insert(
            sa.table(table, *map(sa.column, (column, "title_en", "title_ru", "documented")), schema="syncer"),
            [{column: word, "title_en": en, "title_ru": ru, "documented": True} for word, en, ru in words],
        )


def downgrade() -> None:
    op.execute("drop function syncer.clock()")
    for table in TABLES:
        op.drop_table(table, schema="syncer")
