"""Upload an exported folder to huggingface.co, or to the hub that HF_ENDPOINT names."""

from pathlib import Path

from twosome.errors import RunError, folded


def push(folder: Path, name: str) -> None:
    """Upload a folder's files as one commit; make the repository if there is none. Raises RunError if the hub refuses.

    name: <owner>/<name>. The token is that of HF_TOKEN or `hf auth login`.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    api = HfApi()
    try:
        api.create_repo(name, exist_ok=True)
        done = api.upload_folder(repo_id=name, folder_path=folder, commit_message=f"Upload {folder.name}")
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        raise RunError(
            f"push={name}: the hub refused or gave no answer ({folded(error)}); {folder} is written; set HF_TOKEN to a token "
            "that may write there, remove the folder and export again"
        ) from error
    print(f"pushed to {done.commit_url.partition('/commit/')[0]}")
