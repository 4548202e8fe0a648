"""Script of a rating page: orders, scores, progress in the browser, the rater's file.

What it keeps and saves is one object, the document `RaterFile`. Every session is stored under a name of its own, so
that several people can rate in one browser and nothing is ever written over.
"""

from __future__ import annotations

SCRIPT = r"""
const kit=document.getElementById('kit'),page=kit.dataset.page,one=kit.dataset.one,prefix='xmbench-rating:'+page+':';
const $=id=>document.getElementById(id),One=one[0].toUpperCase()+one.slice(1);
const sets=new Map([...document.querySelectorAll('.set')].map(e=>[e.dataset.set,e]));
const cards=new Map([...document.querySelectorAll('fieldset')].map(e=>[e.dataset.output,e]));
const sounds=[...document.querySelectorAll('audio')];
let state=null,at=0,keeps=true;

function notice(text){$('notice').textContent=text;$('notice').hidden=!text}
const lost='This browser stores nothing for this page: save a file before you close it.';
try{localStorage.setItem(prefix,'');localStorage.removeItem(prefix)}catch(e){keeps=false;notice(lost)}
function parsed(text){try{const s=JSON.parse(text);return usable(s)?s:null}catch(e){return null}}
function kept(){try{return Object.keys(localStorage).filter(k=>k.startsWith(prefix))
.map(k=>parsed(localStorage.getItem(k))).filter(Boolean).sort((a,b)=>a.saved<b.saved?1:-1)}catch(e){return[]}}
function store(){state.saved=new Date().toISOString();state.finished=state.showings.every(complete);
try{localStorage.setItem(prefix+state.session,JSON.stringify(state))}catch(e){keeps=false;notice(lost)}}

function own(set){return[...sets.get(set).querySelectorAll('fieldset')].map(e=>e.dataset.output)}
function complete(s){return s.scores.every(v=>v!==null)}
function same(a,b){return a.length===b.length&&[...a].sort().join()===[...b].sort().join()}
function usable(s){return!!s&&s.schema==='xmbench/rater/1'&&s.page===page&&typeof s.rater==='string'&&
/^[0-9a-f]{16}$/.test(s.session)&&Array.isArray(s.showings)&&s.showings.length>0&&s.showings.every(x=>sets.has(x.set)&&
same(x.outputs,own(x.set))&&x.scores.length===x.outputs.length&&x.plays.length===x.outputs.length&&
x.scores.every(v=>v===null||[0,1,2,3].includes(v)))}

function below(n){return Math.floor(crypto.getRandomValues(new Uint32Array(1))[0]/2**32*n)}
function shuffled(list){const l=[...list];for(let i=l.length-1;i>0;i--){const j=below(i+1);[l[i],l[j]]=[l[j],l[i]]}
return l}
// Sets that come twice are first shown in the first half and again in the second, not soon after each other.
function order(){const all=shuffled(sets.keys()),twice=all.filter(n=>sets.get(n).dataset.twice==='1');
const others=all.filter(n=>!twice.includes(n)),early=Math.max(0,Math.ceil(all.length/2)-twice.length);
let best=[],gap=-1;
for(let i=0;i<60&&gap<6;i++){const list=[...shuffled([...twice,...others.slice(0,early)]).map(n=>[n,false]),
...shuffled([...others.slice(early).map(n=>[n,false]),...twice.map(n=>[n,true])])];
const place=(n,again)=>list.findIndex(([m,a])=>m===n&&a===again);
const near=Math.min(...twice.map(n=>place(n,true)-place(n,false)));if(near>gap){best=list;gap=near}}
return best}
function fresh(rater){const now=new Date().toISOString();
const session=[...crypto.getRandomValues(new Uint8Array(8))].map(b=>b.toString(16).padStart(2,'0')).join('');
return{schema:'xmbench/rater/1',page,rater,session,started:now,saved:now,finished:false,showings:order().map(([set,again])=>{
const outputs=shuffled(own(set));return{set,again,outputs,scores:outputs.map(()=>null),plays:outputs.map(()=>0)}})}}

function show(name){for(const id of['start','rating','end'])$(id).hidden=id!==name;
for(const a of sounds)a.pause();scrollTo(0,0)}
function start(){state=null;$('rater').value='';show('start');const list=kept();$('known').hidden=!list.length;
$('known').querySelector('ul').replaceChildren(...list.map(s=>{const li=document.createElement('li'),
b=document.createElement('button');b.type='button';b.dataset.session=s.session;
b.textContent=`${s.rater}: ${s.showings.filter(complete).length} of ${s.showings.length} screens`;
b.addEventListener('click',()=>begin(s));li.append(b);return li}))}
function begin(s){state=s;const open=s.showings.findIndex(x=>!complete(x));at=open<0?s.showings.length:open;
if(keeps)notice('');store();screen()}
function screen(){if(at>=state.showings.length){$('text').value=JSON.stringify(state);show('end');
$('end').querySelector('h2').focus();return}
show('rating');const s=state.showings[at],n=state.showings.length,set=sets.get(s.set);
for(const[name,e]of sets)e.hidden=name!==s.set;
s.outputs.forEach((o,i)=>{const card=cards.get(o),name=`${One} ${letter(i)}`,media=card.querySelector('img,audio');
set.querySelector('.outputs').append(card);card.querySelector('legend').textContent=name;
media.setAttribute(media.tagName==='IMG'?'alt':'aria-label',name);
card.querySelector('.scores').setAttribute('aria-label','score of '+name);
for(const r of card.querySelectorAll('input'))r.checked=s.scores[i]===+r.value});
for(const a of set.querySelectorAll('audio'))if(a.readyState)a.currentTime=0;
$('progress').textContent=`Screen ${at+1} of ${n}`;$('bar').max=n;$('bar').value=state.showings.filter(complete).length;
$('back').disabled=at===0;$('next').textContent=at===n-1?'Finish':'Next';$('missing').textContent='';
set.querySelector('h2').focus({preventScroll:true});mark()}
function letter(i){return i<26?String.fromCharCode(65+i):String(i+1)}

function title(card){return card.querySelector('legend').textContent}
function unscored(){const s=state.showings[at];return s.outputs.filter((o,i)=>s.scores[i]===null).map(o=>cards.get(o))}
function marked(){return document.activeElement?.closest('fieldset')||unscored()[0]}
function mark(){const now=state&&at<state.showings.length&&marked();
for(const c of cards.values())c.classList.toggle('marked',c===now)}
function next(){const open=unscored();
if(open.length){$('missing').textContent=`Please score every ${one}: ${open.map(title).join(', ')}.`;open[0].focus();
return}
at++;screen()}
function back(){if(at>0){at--;screen()}}
function play(audio){if(audio){if(audio.paused){audio.currentTime=0;audio.play().catch(()=>{})}else audio.pause()}}
function save(){const link=document.createElement('a');
link.href=URL.createObjectURL(new Blob([JSON.stringify(state,null,1)+'\n'],{type:'application/json'}));
link.download=`rating-${page.slice(0,8)}-${state.rater.replace(/[^\p{L}\p{N}]+/gu,'-')}-${state.session.slice(0,4)}.json`;
link.click();setTimeout(()=>URL.revokeObjectURL(link.href),60000)}

$('who').addEventListener('submit',e=>{e.preventDefault();
const name=$('rater').value.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu,' ').trim();
if(name)begin(kept().find(s=>s.rater===name)||fresh(name))});
$('file').addEventListener('change',async e=>{const s=parsed(await e.target.files[0].text());e.target.value='';
if(!s){notice('This file is not one that was saved from this page.');return}
const here=kept().find(k=>k.session===s.session);begin(here&&here.saved>s.saved?here:s)});
$('next').addEventListener('click',next);$('back').addEventListener('click',back);$('again').addEventListener('click',back);
$('save').addEventListener('click',save);$('done').addEventListener('click',save);$('other').addEventListener('click',start);
document.addEventListener('change',e=>{if(!state||e.target.type!=='radio')return;
const s=state.showings[at];s.scores[s.outputs.indexOf(e.target.name)]=+e.target.value;store();
$('missing').textContent='';mark()});
document.addEventListener('focusin',mark);
document.addEventListener('play',e=>{for(const a of sounds)if(a!==e.target)a.pause();
const s=state&&state.showings[at],card=e.target.closest('fieldset');if(!s||!card)return;
const place=s.outputs.indexOf(card.dataset.output);if(place>=0){s.plays[place]++;store()}},true);
document.addEventListener('keydown',e=>{
if(!state||$('rating').hidden||e.ctrlKey||e.metaKey||e.altKey||e.key.length!==1)return;
const key=e.key.toLowerCase(),card=marked();
if('0123'.includes(key)){if(!card)return;const radio=card.querySelector(`input[value="${key}"]`);radio.checked=true;
radio.dispatchEvent(new Event('change',{bubbles:true}));(unscored()[0]||$('next')).focus()}
else if(key==='n')next();else if(key==='b')back();else if(key==='p')play(card&&card.querySelector('audio'));
else if(key==='c')play(sets.get(state.showings[at].set).querySelector('.condition audio'));else return;
e.preventDefault()});
addEventListener('storage',e=>{if(!state||e.key!==prefix+state.session||!e.newValue)return;const s=parsed(e.newValue);
if(s){state=s;screen()}});
addEventListener('beforeunload',e=>{if(state&&!keeps)e.preventDefault()});
start();
"""
