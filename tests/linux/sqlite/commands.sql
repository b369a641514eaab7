.mode list
.headers on
create table t(a integer primary key, b real, c text);
insert into t values (1, 2.5, 'one'), (2, -1e10, 'two'), (3, 0.1, 'three'), (4, null, 'vier'), (5, 1e-300, x'00ff');
select * from t;
select sum(b), avg(b), min(b), max(b), total(b), count(*) from t;
select a, quote(c), typeof(b), hex(c), length(c), upper(c) from t order by c desc;
select round(2.567, 1), round(-0.5), abs(-7), 7 / 2, 7 % 3, -7 / 2, 7.0 / 2, 1 / 0, 9223372036854775807 + 1;
select 0.1 + 0.2, 1e100 * 1e200, 123456789012345678, 1.0e15, 1e16, 3.14159265358979, 2.2250738585072014e-308;
select cast('12abc' as integer), cast(3.99 as integer), cast('1e3' as real), '10' + 5, 'abc' || 1.5;
select substr('hello world', 3, 5), replace('aXbXc', 'X', '--'), instr('hello', 'll'), trim('  x '), printf('%08.3f|%x|%s', 3.14159, 255, 'z');
select date(0, 'unixepoch'), datetime(1e9, 'unixepoch'), julianday('2000-01-01'), strftime('%Y-%j %W', '2024-02-29');
with recursive n(i, f) as (select 1, 1 union all select i + 1, f * (i + 1) from n where i < 20) select i, f from n;
with recursive p(i) as (select 2 union all select i + 1 from p where i < 100)
select group_concat(i, ' ') from p where not exists (select 1 from p q where q.i < p.i and p.i % q.i = 0);
create index by_c on t(c);
explain query plan select * from t where c = 'two';
create view v as select a * a as square, c from t;
select * from v where square > 3;
begin; update t set b = a * 1.5; select sum(b) from t; rollback; select sum(b) from t;
delete from t where a % 2; select count(*), group_concat(c) from t;
create table u(x unique, y default 7 check (y > 0));
insert into u(x) values ('k'); insert or replace into u values ('k', 9); select * from u;
insert into u values ('bad', -1);
insert into u values ('k', 1);
select * from nothing;
select json_extract('{"a": [1, 2, {"b": 3.5}]}', '$.a[2].b'), json_array(1, 'x', null), json_type('[1]');
create table words(w); insert into words select printf('%05d', (i * 7919) % 10007) from (with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) select i from n);
select count(distinct w), min(w), max(w), sum(w) from words;
select w, row_number() over (order by w desc), lag(w) over (order by w desc) from words order by w desc limit 5;
select substr(w, 1, 1) k, count(*), avg(w) from words group by k having count(*) > 200 order by k;
select a.w from words a join words b on a.w = b.w + 1 order by a.w limit 5;
select w like '1%2', w glob '0*', w between '00100' and '00200' from words where rowid in (1, 2, 3);
pragma integrity_check;
select exp(1), ln(10), sqrt(2), pow(2, 0.5), sin(1), cos(1), atan2(1, 2), log(2, 1024), pi();
.tables
.schema t
