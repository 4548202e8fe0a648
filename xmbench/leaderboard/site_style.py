"""Style and script of the pages of boards."""

from __future__ import annotations

STYLE = """
.lead{max-width:64rem}.facts{margin:.1rem 0 .5rem;font-size:.85rem}a{color:var(--mark)}
code{overflow-wrap:anywhere;font-size:.92em}
form{position:sticky;top:0;z-index:2;background:var(--back);padding:.5rem 0;display:flex;gap:.5rem 1rem;flex-wrap:wrap}
form{align-items:end;border-bottom:1px solid var(--line)}label{font-size:.8rem}
form select{font:inherit;padding:.25rem;display:block;max-width:14rem}form button,.turn{padding:.3rem 0}
form button{padding:.3rem .7rem;font:inherit;font-size:.85rem}#shown{font-size:.85rem}
thead th{padding:0 .2rem;vertical-align:bottom}
thead button{all:unset;cursor:pointer;padding:.3rem .25rem;font-weight:600;font-size:.95em}
thead button:focus-visible{outline:2px solid var(--mark)}thead th[aria-sort]{background:var(--soft)}
thead th[aria-sort=ascending] button::after{content:" ▲"}thead th[aria-sort=descending] button::after{content:" ▼"}
td,tbody th{vertical-align:top}.row>th{text-align:left;white-space:normal;min-width:13rem;font-weight:600}
thead th:nth-child(2),thead th:nth-child(3),td[data-h=kind],thead th[data-k=machine],td[data-h=machine]{text-align:left}
.row{scroll-margin-top:5.5rem}nav{font-size:.85rem;margin-bottom:1rem}
.links{font-weight:400;font-size:.8rem;white-space:nowrap}
.fold{all:unset;cursor:pointer;color:var(--mark);text-decoration:underline}
.fold:focus-visible{outline:2px solid var(--mark)}
.fold[aria-expanded=true]::before{content:"▾ "}.fold[aria-expanded=false]::before{content:"▸ "}
small{opacity:.8;font-size:.82em}.row td{padding:.25rem .45rem}.first{min-width:150px}
.bar{display:block;width:150px;height:16px;margin-left:auto}
.bar rect{fill:var(--mark);opacity:.5}.value{stroke:var(--mark);stroke-width:2}
.axis{stroke:currentColor;opacity:.25}
.mark{stroke:currentColor;stroke-width:1.5;opacity:.75}.bar text{fill:currentColor;font-size:12px}
.shared>td:first-child{box-shadow:inset 3px 0 var(--mark)}
.title>th{text-align:left;padding:.6rem .45rem .2rem;white-space:normal}
.tag{display:block;font-weight:400;font-size:.8rem;max-width:30rem}.tag::before{content:"· "}
summary{cursor:pointer;font-size:.85rem}.terms dl{max-width:64rem}.terms dt{font-weight:600}.terms dd{margin:0 0 .4rem}
.common dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem .8rem;margin:.3rem 0;font-size:.85rem}
.common dd{margin:0;overflow-wrap:anywhere}
.judges table,.common table{margin:.2rem 0 .4rem;font-size:.8rem}.judges th:first-child,.common th{text-align:left}
.board>h3{font-size:.95rem;margin:1rem 0 0}
.judges td,.judges th,.common td,.common th{padding:.1rem .6rem .1rem 0;white-space:normal}
.judges tbody th,.common tbody th{font-weight:400}
[data-kind=floor]>td:first-child,[data-kind=ceiling]>td:first-child{opacity:.8}
tr.row[data-kind=floor],tr.row[data-kind=ceiling]{background:var(--soft)}
.more>td{text-align:left;white-space:normal;background:var(--soft);padding:.6rem}
.detail{max-width:70rem}.detail p{font-size:.85rem;margin:.4rem 0}
.detail h3{font-size:.85rem;margin:.8rem 0 .2rem}.detail table{margin:.6rem 0}
.detail tbody th{font-weight:400}
.detail dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem .8rem;margin:0}
.detail dt{opacity:.8}.detail dd{margin:0;overflow-wrap:anywhere}.detail ul{margin:0;padding-left:1.1rem}
.detail td,.detail th{text-align:left;padding:.2rem .5rem}.detail .n{text-align:right}
.paper td,.paper th{text-align:left;white-space:normal;padding:.25rem .5rem}.paper td.n{text-align:right}
.paper td:nth-last-child(-n+2){min-width:13rem}
@media(max-width:48rem){body{margin:.8rem auto}form{position:static}
form label{flex:1 1 8rem}form select{width:100%;max-width:none}
.board:not(.paper)>.wide>table,.board:not(.paper)>.wide>table>tbody{display:block}
.board:not(.paper)>.wide>table>thead{display:none}.title,.title>th{display:block}.tag{max-width:none}
.common dl{grid-template-columns:1fr}
tr.row{display:grid;grid-template-columns:1fr 1fr;padding:.5rem;border:1px solid var(--line);border-radius:8px}
tr.row{margin:.6rem 0 0;gap:0 1rem}
tr.row>td,tr.row>th{border:0;padding:.1rem 0;display:flex;gap:.5rem;justify-content:space-between;min-width:0}
tr.row>td{flex-wrap:wrap;gap:0 .5rem;font-size:.8rem}tr.row>td::before{content:attr(data-h);opacity:.75}
tr.row>th{grid-column:1/-1;order:-2;display:block;font-size:.95rem}tr.row>.first{grid-column:1/-1;order:-1}
tr.row>td:empty{display:none}tr.row>td[data-h=kind],tr.row>td[data-h=machine]{text-align:right}
.shared>td:first-child{box-shadow:none}
.shared{box-shadow:inset 3px 0 var(--mark)}
.first .bar{width:100%;margin:0}tr.more:not([hidden]){display:block}tr.more>td{display:block;border:0}
.detail dl{grid-template-columns:1fr}.detail dt{margin-top:.3rem}}
"""

SCRIPT = """
const form=document.querySelector('form'),shown=document.getElementById('shown');
const names=[...form.querySelectorAll('select')].map(s=>s.name),texts=['system','kind','machine'];
const boards=[...document.querySelectorAll('section.board')];
const blocks=boards.map(b=>[...b.querySelectorAll('tbody.block')]);
const pair=r=>[r,document.getElementById(r.id+'-more')].filter(Boolean);
const rows=blocks.map(found=>found.map(t=>[...t.querySelectorAll('tr.row')].map(pair)));
const opened=new Set();
function value(row,at,key){const c=row.children[at],t=c.textContent.trim();if(texts.includes(key))return t||null;
const v='v' in c.dataset?Number(c.dataset.v):parseFloat(t);return isNaN(v)?null:v}
function order(board,blocks,key,turn){const heads=[...board.querySelectorAll('.wide>table>thead th[data-k]')];
const at=heads.findIndex(h=>h.dataset.k===key);heads.forEach(h=>h.removeAttribute('aria-sort'));
const down=at>=0&&(heads[at].dataset.better==='high')!==turn;
if(at>=0)heads[at].setAttribute('aria-sort',down?'descending':'ascending');
for(const pairs of blocks){const sorted=[...pairs];if(at>=0)sorted.sort(([a],[b])=>{
const x=value(a,at,key),y=value(b,at,key);if(x===null||y===null)return(x===null)-(y===null);
const c=typeof x==='string'?x.localeCompare(y):x-y;return down?-c:c});else if(turn)sorted.reverse();
sorted[0][0].parentNode.append(...sorted.flat())}}
function show(){const f=form.elements,want=n=>f[n]?f[n].value:'';let seen=0,systems=0;
boards.forEach((board,i)=>{const d=board.dataset,paper=board.classList.contains('paper');let some=paper;
for(const[row,more]of rows[i].flat()){row.hidden=(!!want('kind')&&row.dataset.kind!==want('kind'))||
(!!want('preset')&&row.dataset.preset!==want('preset'));if(more){more.hidden=row.hidden||!opened.has(row.id);
row.querySelector('.fold').setAttribute('aria-expanded',String(opened.has(row.id)))}some=some||!row.hidden}
blocks[i].forEach((t,k)=>t.hidden=rows[i][k].every(([r])=>r.hidden));
const wrong=n=>!!want(n)&&n in d&&d[n]!==want(n);
board.hidden=!some||wrong('recipe')||wrong('track')||wrong('protocol');
if(!board.hidden&&!paper){seen++;systems+=rows[i].flat().filter(([r])=>!r.hidden).length}
order(board,rows[i],want('sort'),f.turn.checked)});
shown.value=seen+(seen===1?' board, ':' boards, ')+systems+(systems===1?' row':' rows')}
function read(){const h=new URLSearchParams(location.hash.slice(1));
for(const n of names){const e=form.elements[n];e.value=h.get(n)||'';if(e.selectedIndex<0)e.value=''}
form.elements.turn.checked=h.has('turn');opened.clear();
const open=(h.get('open')||'').split(','),old=/^r(\\d+)-(\\d+)$/.exec(open[0]);
for(const n of open)if(document.getElementById(n+'-more'))opened.add(n);show();
// An address from the time when the front page had the details.
const there=old&&((rows[old[1]]||[]).flat()[old[2]]||[])[0],link=there&&there.querySelector('.links a');
if(link&&!opened.size)location.replace(link.href);
if(opened.size)document.getElementById([...opened][0]).scrollIntoView()}
function keep(){const h=new URLSearchParams();
for(const n of names)if(form.elements[n].value)h.set(n,form.elements[n].value);
if(form.elements.turn.checked)h.set('turn','1');if(opened.size)h.set('open',[...opened].join(','));
history.replaceState(null,'',h.size?'#'+h:location.pathname+location.search);show()}
document.addEventListener('click',e=>{const fold=e.target.closest('.fold'),head=e.target.closest('thead button');
if(fold){const id=fold.closest('tr').id;opened.has(id)?opened.delete(id):opened.add(id);keep()}
if(head&&head.closest('th').dataset.k){const key=head.closest('th').dataset.k,f=form.elements;
f.turn.checked=f.sort.value===key&&!f.turn.checked;f.sort.value=key;keep()}});
form.addEventListener('change',keep);form.addEventListener('submit',e=>e.preventDefault());
form.addEventListener('reset',()=>{opened.clear();setTimeout(keep)});
window.addEventListener('hashchange',read);form.hidden=false;read();
"""
