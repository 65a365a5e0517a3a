#!/usr/bin/env python3
"""Open WebUI's backend, its own code for pictures (routers/images.py) out of its wheel: verify, save, models, generate, edit. What it keeps
in a database, and who may ask, stands in for itself here."""
from client import *

need("aiohttp==3.14.5", "aiofiles==25.1.0", "fastapi==0.165.0", "pillow", "python-multipart")
import asyncio, base64, importlib.util, types, zipfile

import aiohttp

VERSION, FILES = "0.12.4", {"open_webui.constants": "open_webui/constants.py", "open_webui.routers.images": "open_webui/routers/images.py"}
USER = types.SimpleNamespace(id="u", role="admin", name="u", email="u@example.org")


def wheel():
    """None where it cannot be fetched: it has some hundred MB, and what it wants beside it is not wanted here."""
    folder = VENV / "open-webui"
    if not (found := list(folder.glob(f"open_webui-{VERSION}-*.whl"))):
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), f"open-webui=={VERSION}"], capture_output=True, timeout=900)
        found = list(folder.glob(f"open_webui-{VERSION}-*.whl"))
    return found and zipfile.ZipFile(found[0])


def stub(name, **members):
    parts = name.split(".")
    for i in range(1, len(parts)):
        sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i]))).__path__ = []
    module = sys.modules.setdefault(name, types.ModuleType(name))
    vars(module).update(members)
    return module


class Config:
    kept = {}

    @classmethod
    async def get_many(cls, *names):
        return {n: cls.kept[n] for n in names if n in cls.kept}

    @classmethod
    async def upsert(cls, updates):
        cls.kept.update(updates)


class Surroundings:
    """What images.py imports of the rest."""

    def __init__(self, folder):
        self.uploads, self.session = [], None
        refuse = lambda *_: (_ for _ in ()).throw(ValueError("an address of this machine"))
        nothing = types.SimpleNamespace
        async def told(*_, **__): pass
        async def upload(request, file, metadata, process, user):
            self.uploads.append((file.headers["content-type"], file.file.read()))
            return nothing(id="f", meta={}, filename=file.filename)
        async def session():
            self.session = self.session or aiohttp.ClientSession()
            return self.session
        stub("open_webui.config", CACHE_DIR=folder, ENABLE_OPENAI_IMAGE_EDIT_NORMALIZATION=True, IMAGE_AUTO_SIZE_MODELS_REGEX_PATTERN="^gpt-image",
             IMAGE_URL_RESPONSE_MODELS_REGEX_PATTERN="^gpt-image")
        stub("open_webui.env", AIOHTTP_CLIENT_ALLOW_REDIRECTS=False, AIOHTTP_CLIENT_SESSION_SSL=True, ENABLE_FORWARD_USER_INFO_HEADERS=False)
        stub("open_webui.events", EVENTS=nothing(CONFIG_UPDATED="", IMAGE_EDITED=""), publish_event=told)
        stub("open_webui.internal.db", get_async_session=told)
        stub("open_webui.models.chats", Chats=nothing())
        stub("open_webui.models.config", Config=Config)
        stub("open_webui.retrieval.web.utils", get_ssrf_safe_session=refuse, validate_url=refuse)
        stub("open_webui.routers.files", get_file_content_by_id=told, upload_file_handler=upload)
        stub("open_webui.utils.access_control", has_permission=told)
        stub("open_webui.utils.auth", get_admin_user=lambda: USER, get_verified_user=lambda: USER)
        stub("open_webui.utils.headers", include_user_info_headers=lambda headers, user: headers)
        stub("open_webui.utils.images.comfyui", **{n: nothing for n in ("ComfyUICreateImageForm", "ComfyUIEditImageForm", "ComfyUIWorkflow", "comfyui_create_image",
                                                                        "comfyui_edit_image", "comfyui_upload_image")})
        stub("open_webui.utils.json_codec", JSONCodec=json)
        stub("open_webui.utils.session_pool", get_session=session)
        stub("sqlalchemy.ext.asyncio", AsyncSession=object)


def load(archive):
    for name, path in FILES.items():
        stub(name)
        exec(compile(archive.read(path), path, "exec"), vars(sys.modules[name]))
    return sys.modules["open_webui.routers.images"]


def settings(images, s, **more):
    """Every field of its form: none and nothing, but for what is said here."""
    empty = {"bool": False, "str": "", "int": 0, "list": [], "dict": None}
    fields = {name: empty[re.match(r"\w+", str(f.annotation).replace("<class '", ""))[0]] for name, f in images.ImagesConfig.model_fields.items()}
    return images.ImagesConfig(**{**fields, "ENABLE_IMAGE_GENERATION": True, "ENABLE_IMAGE_EDIT": True, "IMAGE_SIZE": "64x64", "IMAGE_STEPS": 3, "AUTOMATIC1111_BASE_URL": s.url,
                                  "AUTOMATIC1111_API_AUTH": f"user:{s.key}", "IMAGES_OPENAI_API_BASE_URL": s.url + "/v1", "IMAGES_OPENAI_API_KEY": s.key, "IMAGE_EDIT_ENGINE": "openai",
                                  "IMAGES_EDIT_OPENAI_API_BASE_URL": s.url + "/v1", "IMAGES_EDIT_OPENAI_API_KEY": s.key, "IMAGE_EDIT_MODEL": "gpt-image-1", **more})


async def drive(images, around, s):
    request = types.SimpleNamespace(app=types.SimpleNamespace(url_path_for=lambda name, id: f"/api/v1/files/{id}/content"))
    Form = images.ConnectionVerificationForm
    check(await images.verify_connection(Form(engine="automatic1111", url=s.url + "/", key=f"user:{s.key}"), user=USER) is True, "verify")
    try:
        await images.verify_connection(Form(engine="automatic1111", url=s.url, key="user:wrong"), user=USER)
        check(False, "verify with a wrong key")
    except images.HTTPException as e:
        check(e.status_code == 400, "verify with a wrong key")
    now = lambda: s.g.get("/sdapi/v1/options", Authorization=f"Bearer {s.key}")[2]["sd_model_checkpoint"]
    await images.update_config(request, settings(images, s, IMAGE_GENERATION_ENGINE="automatic1111", IMAGE_GENERATION_MODEL=PACK), user=USER)
    other = [m["id"] for m in await images.get_models(request, user=USER) if m["id"] != PACK][0]
    await images.update_config(request, settings(images, s, IMAGE_GENERATION_ENGINE="automatic1111", IMAGE_GENERATION_MODEL=other), user=USER)
    check(now() == other, "save with another model chooses it", now())
    await images.update_config(request, settings(images, s, IMAGE_GENERATION_ENGINE="automatic1111", IMAGE_GENERATION_MODEL=PACK), user=USER)
    got = await images.image_generations(request, images.CreateImageForm(prompt="a lake", n=2, negative_prompt="boats"), user=USER)
    check(len(got) == 2 and [k for k, _ in around.uploads] == ["image/png"] * 2 and around.uploads[0][1][:4] == b"\x89PNG", "generate", str(got)[:300])
    job = s.jobs("a lake")[0]
    check(job["n"] == 2 and job["steps"] == 3 and job["width"] == 64 and job["negative_prompt"] == "boats", "with its settings", str(job)[:400])
    for model in ("gpt-image-1", "dall-e-3"):
        around.uploads.clear()
        await images.update_config(request, settings(images, s, IMAGE_GENERATION_ENGINE="openai", IMAGE_GENERATION_MODEL=model, IMAGES_OPENAI_API_PARAMS={"steps": 3}), user=USER)
        await images.image_generations(request, images.CreateImageForm(prompt=f"by {model}"), user=USER)
        check(len(around.uploads) == 1 and around.uploads[0][1][:4] == b"\x89PNG", f"engine openai, {model}")
    start = "data:image/png;base64," + base64.b64encode(around.uploads[0][1]).decode()
    for image in (start, [start]):
        around.uploads.clear()
        await images.edit_images(request, images.EditImageForm(image=image, prompt="edited", size="64x64"), user=USER)
        check(len(around.uploads) == 1 and around.uploads[0][1][:4] == b"\x89PNG", f"edit of a {type(image).__name__}")
    check(all(j["init"] for j in s.jobs("edited")), "which starts from it")
    await around.session.close()


archive = wheel()
if not archive:
    print("skip openwebui.py: the wheel of open-webui cannot be fetched")
    sys.exit(0)
with Server() as s:
    around = Surroundings(s.place.dir)
    asyncio.run(drive(load(archive), around, s))
finish()
