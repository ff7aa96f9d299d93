-- Dates on which opening + what came - what went is not closing, or on which the history of the users (dim_users) has another
-- number of subscribers.
{% test balance(model) %}
    with plans as (
        select
            activity_date,
            plan,
            sum(opening + first_seen + new + reactivated + moved_in - moved_out - downgraded - cancelled) as computed,
            sum(closing) as closing
        from {{ model }}
        group by activity_date, plan
    ),

    last_date as (
        select max(activity_date) as activity_date from {{ model }}
    ),

    -- A history can begin before the first event, with the registration. A user counts from the first event on.
    seen as (
        select user_id, min(activity_date) as first_date from {{ ref('user_states') }} group by user_id
    ),

    subscribed as (
        select last_date.activity_date, users.level as plan, count(distinct users.user_id) as users
        from {{ ref('dim_users') }} as users
        inner join last_date
            on
                users.valid_from < dateadd('day', 1, last_date.activity_date)
                and (users.valid_to is null or users.valid_to >= dateadd('day', 1, last_date.activity_date))
        inner join seen on users.user_id = seen.user_id and seen.first_date <= last_date.activity_date
        where users.level <> 'free'
        group by last_date.activity_date, users.level
    )

    select plans.activity_date, plans.plan, plans.computed, plans.closing, subscribed.users
    from plans
    cross join last_date
    left join subscribed on plans.activity_date = subscribed.activity_date and plans.plan = subscribed.plan
    where
        plans.computed <> plans.closing
        or (plans.activity_date = last_date.activity_date and plans.closing <> coalesce(subscribed.users, 0))
{% endtest %}
