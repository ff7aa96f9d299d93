-- Months whose own statement does not give out the pool to the cent, or whose later statements give or take something.
{% test pool_is_given_out(model) %}
    select activity_month, statement_month, country, plan, sum(pro_rata_cents) as pro_rata, sum(user_centric_cents) as user_centric
    from {{ model }}
    group by activity_month, statement_month, country, plan
    having
        sum(pro_rata_cents) <> case when activity_month = statement_month then {{ var('royalty_pool_cents') }} else 0 end
        or sum(user_centric_cents) <> case when activity_month = statement_month then {{ var('royalty_pool_cents') }} else 0 end
{% endtest %}
