-- Pools whose first statement does not give them out to the cent, or whose later statements give or take something.
{% test pool_is_given_out(model) %}
    with statements as (
        select
            activity_month,
            statement_month,
            country,
            plan,
            sum(pro_rata_cents) as pro_rata,
            sum(user_centric_cents) as user_centric,
            case
                when statement_month = min(statement_month) over (partition by activity_month, country, plan)
                    then {{ var('royalty_pool_cents') }}
                else 0
            end as given
        from {{ model }}
        group by activity_month, statement_month, country, plan
    )

    select * from statements where pro_rata <> given or user_centric <> given
{% endtest %}
